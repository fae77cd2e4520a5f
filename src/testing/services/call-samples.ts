// A contract test: the same samples are asked of a fake and of the real neighbour, and both must behave as the contract and the samples say.
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { judgeAnswer } from '../../call/client/judge.ts'
import { headers, jsonType, pathOf } from '../../call/wire.ts'
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { newId } from '../../core/id.ts'
import type { OutputOf } from '../../core/schema.ts'

/** What is to come of a sample: an answer, a declared error, or a refusal of the input. */
export type SampleEnd<Answered, Failures extends FailureSchemas> =
  | { readonly ok: true | Answered | ((value: Answered) => boolean) }
  | {
      readonly [Name in keyof Failures & string]: {
        readonly failed: Name
        /** Left out: whatever it is. */
        readonly data?: OutputOf<Failures[Name]>
      }
    }[keyof Failures & string]
  | { readonly refused: true }

export interface CallSample {
  readonly call: CallContract
  readonly input: unknown
  readonly end: SampleEnd<unknown, FailureSchemas>
}

/** One sample, typed by its contract. An input that is to be refused may be anything. */
export function callSample<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
  call: CallContract<Ask, Asked, Answer, Answered, Failures>,
  input: Ask,
  end: Exclude<SampleEnd<Answered, Failures>, { readonly refused: true }>,
): CallSample
export function callSample(call: CallContract, input: unknown, end: { readonly refused: true }): CallSample
export function callSample(call: unknown, input: unknown, end: unknown): CallSample {
  return { call, input, end } as CallSample
}

/** A fake, a running topology, or an address. */
export type Asking = string | { readonly address: string | undefined }

/**
 * Asks every sample, in their order, and rejects with an AssertionError that lists all that was not as it has to be. Of a command also: that asking again
 * with its key gives the same answer, that the key is refused for another input, and that it wants a key. Commands do what they do: ask a
 * neighbour that is there for tests. `headers`: what it wants to know of who asks.
 */
export async function conformsTo(
  target: Asking,
  samples: readonly CallSample[],
  more: { readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const address = typeof target === 'string' ? target : target.address
  assert.ok(address !== undefined, 'The target of a contract test answers no calls.')
  const wrong: string[] = []
  for (const [index, sample] of samples.entries())
    for (const problem of await tried(address, sample, samples, more.headers ?? {}))
      wrong.push(`sample ${index + 1}, ${sample.call.type}: ${problem}`)
  assert.ok(wrong.length === 0, `${address} does not behave as its samples say:\n${wrong.join('\n')}`)
}

interface Replied {
  readonly status: number
  readonly body: unknown
  readonly replayed: boolean
}

async function tried(
  address: string,
  sample: CallSample,
  samples: readonly CallSample[],
  given: Readonly<Record<string, string>>,
): Promise<string[]> {
  const { call, input } = sample
  const ask = (asked: unknown, key?: string) => request(address, call, asked, given, key)
  const key = call.kind === 'command' ? newId() : undefined
  const first = await ask(input, key)
  const problems = await judged(sample, first)
  if (key === undefined || 'refused' in sample.end) return problems
  const again = await ask(input, key)
  if (again.status !== first.status || !isDeepStrictEqual(again.body, first.body) || !again.replayed)
    problems.push(`asked again with its key it gave ${shown(again)}, after ${shown(first)}`)
  const other = samples.find(
    (each) => each.call === call && !('refused' in each.end) && !isDeepStrictEqual(each.input, input),
  )
  const reused = other && (await ask(other.input, key))
  if (reused && reused.status !== 409)
    problems.push(`another input with the same key was not refused: ${shown(reused)}`)
  const keyless = await ask(input)
  if (keyless.status !== 400) problems.push(`without a key it was not refused: ${shown(keyless)}`)
  return problems
}

async function judged({ call, end }: CallSample, replied: Replied): Promise<string[]> {
  const judgement = await judgeAnswer(call, replied.status, replied.body)
  if ('refused' in end)
    return replied.status === 400 ? [] : [`its input was to be refused, and it gave ${shown(replied)}`]
  if (judgement.kind !== 'settled') return [judgement.error.message]
  const { settled } = judgement
  if (settled.status === 'failed') {
    if (!('failed' in end) || end.failed !== settled.reason) return [settled.error.message]
    const fits = end.data === undefined || isDeepStrictEqual(end.data, settled.data)
    return fits ? [] : [`its error ${end.failed} has other data: ${shown(replied)}`]
  }
  if (!('ok' in end)) return [`it was to fail as ${end.failed}, and gave ${shown(replied)}`]
  const { ok } = end
  const { value } = settled
  if (ok === true || (typeof ok === 'function' ? ok(value) : isDeepStrictEqual(ok, value))) return []
  return [`it gave another answer: ${shown(replied)}`]
}

async function request(
  address: string,
  call: CallContract,
  input: unknown,
  given: Readonly<Record<string, string>>,
  key: string | undefined,
): Promise<Replied> {
  const response = await fetch(`${address}${pathOf(call)}`, {
    method: 'POST',
    body: JSON.stringify(input) ?? '',
    headers: {
      'content-type': jsonType,
      [headers.deadline]: String(call.deadlineMs),
      ...(key === undefined ? {} : { [headers.key]: key, [headers.keyAge]: '1' }),
      ...given,
    },
    // Beyond what the other side was given.
    signal: AbortSignal.timeout(call.deadlineMs + 2_000),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  const body: unknown = text === '' ? undefined : isJson ? JSON.parse(text) : text
  return { status: response.status, body, replayed: response.headers.get(headers.replay) === 'true' }
}

function shown({ status, body }: Replied): string {
  return `${status} ${JSON.stringify(body)?.slice(0, 300) ?? ''}`
}
