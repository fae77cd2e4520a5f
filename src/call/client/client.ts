// The client of synchronous calls: from a contract and an input to one of three outcomes.
import type { CallContract, FailureSchemas } from '../../core/call-contract.ts'
import { checkKey, visible } from '../../core/call-key.ts'
import type { CallResult } from '../../core/call-result.ts'
import { type Clock, systemClock } from '../../core/clock.ts'
import { milliseconds } from '../../core/duration.ts'
import { SpillwayError } from '../../core/errors.ts'
import { newId } from '../../core/id.ts'
import type { OnReport } from '../../core/report.ts'
import { type AskOptions, type CallOrigin, type CallPort, checkAskOptions } from '../../ports/call.ts'
import {
  headers as header,
  jsonType,
  maxAnswerBytes,
  maxBatch,
  maxBatchAnswerBytes,
  maxBatchBytes,
  maxInputBytes,
  pathOf,
} from '../wire.ts'
import { type CallsOptions, callsRules } from './calls-options.ts'
import { encodeInput } from './input.ts'
import { type Addresses, Instances } from './instances.ts'
import type { Judgement, Settled } from './judge.ts'
import { readBatch, readOne } from './reading.ts'
import { type Ended, type Outgoing, Target } from './target.ts'

export interface CallClientOptions {
  /** Where each context is. Undefined: nobody knows. Asked when a context is called first. */
  readonly addressesOf: (context: string) => Addresses | undefined
  /** By context. */
  readonly calls?: Readonly<Record<string, CallsOptions>>
  readonly clock?: Clock
  readonly random?: () => number
  readonly onReport?: OnReport
  /** Told of each call when it has ended. */
  readonly onEnded?: (ended: CallEnded) => void
  /** May add to what is sent with a request: where it belongs in a trace. */
  readonly inject?: (headers: Record<string, string>) => void
}

/** For metrics. */
export interface CallEnded {
  readonly type: string
  readonly version: number
  readonly context: string
  readonly outcome: 'ok' | 'failed' | 'unknown'
  /** Of a failed call: the declared error, or the code. */
  readonly reason: string | undefined
  readonly attempts: number
  readonly ms: number
}

/** What all askings of one call have in common: asked again, it is asked with the same bytes and the same key. */
interface Prepared {
  readonly contract: CallContract
  readonly body: string
  readonly options: AskOptions
  readonly origin: CallOrigin
  readonly deadlineMs: number
  readonly key: string | undefined
  readonly keyMadeMs: number | undefined
  readonly freshKey: boolean
  readonly askedBefore: boolean
}

type Result = CallResult<unknown, FailureSchemas>

export class CallClient implements CallPort {
  readonly #options: CallClientOptions
  readonly #clock: Clock
  readonly #targets = new Map<string, Target>()
  #closed = false

  /** Throws INVALID_OPTION and CONFIGURATION for what cannot work. */
  constructor(options: CallClientOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    for (const context of Object.keys(options.calls ?? {})) this.target(context)
  }

  /** The contexts that were called, or that have options. */
  get targets(): readonly Target[] {
    return [...this.#targets.values()]
  }

  target(context: string): Target {
    const known = this.#targets.get(context)
    if (known) return known
    const { addressesOf, calls = {}, random = Math.random, onReport } = this.#options
    const options = Object.hasOwn(calls, context) ? calls[context]! : {}
    const rules = callsRules(context, options, maxAnswerBytes)
    const addresses = addressesOf(context)
    const { connections, tls } = rules
    const clock = this.#clock
    const instances =
      addresses && new Instances(context, addresses, { connections, tls, clock, random, onReport })
    const target = new Target(context, instances, options, rules, clock, random)
    // Where it is may be known later.
    if (instances) this.#targets.set(context, target)
    return target
  }

  call<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    input: Ask,
    options: AskOptions<Answered>,
    origin: CallOrigin,
  ): Promise<CallResult<Answered, Failures>> {
    this.#refuseClosed()
    checkAskOptions(contract.type, options)
    const prepare = this.#preparer(contract as unknown as CallContract, options as AskOptions, origin)
    return this.#call(prepare, contract as unknown as CallContract, input) as Promise<
      CallResult<Answered, Failures>
    >
  }

  /**
   * Asks a query for several inputs in as few requests as there may be; a result for each, in their order. The deadline holds for all of them. Throws as
   * `call` does, and INVALID_OPTION for a command.
   */
  ask<Ask, Asked, Answer, Answered, Failures extends FailureSchemas>(
    contract: CallContract<Ask, Asked, Answer, Answered, Failures>,
    inputs: readonly Ask[],
    options: AskOptions<Answered>,
    origin: CallOrigin,
  ): Promise<CallResult<Answered, Failures>[]> {
    this.#refuseClosed()
    checkAskOptions(contract.type, options)
    if (contract.kind !== 'query')
      throw new SpillwayError(
        'INVALID_OPTION',
        `${contract.type} is a command: only queries are asked in batches.`,
      )
    const prepare = this.#preparer(contract as unknown as CallContract, options as AskOptions, origin)
    return this.#ask(prepare, contract as unknown as CallContract, inputs) as Promise<
      CallResult<Answered, Failures>[]
    >
  }

  /** Lets calls under way end for so long, then closes their connections. */
  async close(graceMs = 0): Promise<void> {
    this.#closed = true
    await Promise.all(this.targets.map((target) => target.close(graceMs)))
  }

  #refuseClosed(): void {
    if (this.#closed)
      throw new SpillwayError('CLOSED', 'Nothing is called any more: this process is stopping.')
  }

  #preparer(contract: CallContract, options: AskOptions, origin: CallOrigin): (body: string) => Prepared {
    const deadlineMs =
      options.deadline === undefined ? contract.deadlineMs : milliseconds(options.deadline, 'deadline')
    const isCommand = contract.kind === 'command'
    const given = options.key ?? origin.key
    if (given !== undefined) checkKey(contract.type, given)
    const key = isCommand ? (given ?? newId(this.#clock)) : undefined
    const keyMadeMs = isCommand
      ? ((options.key === undefined ? origin.keyMadeMs : undefined) ?? this.#clock.now())
      : undefined
    const freshKey = given === undefined
    const askedBefore = options.key === undefined && origin.askedBefore === true
    return (body) => ({ contract, body, options, origin, deadlineMs, key, keyMadeMs, freshKey, askedBefore })
  }

  async #call(prepare: (body: string) => Prepared, contract: CallContract, input: unknown): Promise<Result> {
    const startedMs = this.#clock.elapsed()
    const encoded = encodeInput(contract, input)
    const body = encoded instanceof Promise ? await encoded : encoded
    if (typeof body !== 'string') {
      const failed: Result = { status: 'failed', reason: 'error', data: undefined, error: body }
      this.#told(contract, failed, startedMs)
      return failed
    }
    return this.#perform(prepare(body), startedMs)
  }

  async #perform(prepared: Prepared, startedMs: number): Promise<Result> {
    const { contract } = prepared
    const target = this.target(contract.context)
    const maxBytes = target.rules.maxAnswerBytes
    const outgoing = this.#outgoing(prepared, pathOf(contract), startedMs, maxBytes)
    const ended = await target.ask(outgoing, (seen) => readOne(contract, seen, maxBytes))
    const result = this.#resultOf(prepared, ended)
    this.#told(contract, result, startedMs, ended)
    return result
  }

  async #ask(
    prepare: (body: string) => Prepared,
    contract: CallContract,
    inputs: readonly unknown[],
  ): Promise<Result[]> {
    const startedMs = this.#clock.elapsed()
    const bodies = await Promise.all(inputs.map((input) => encodeInput(contract, input)))
    const results = new Array<Result>(inputs.length)
    const places: number[] = []
    for (const [place, body] of bodies.entries())
      if (typeof body === 'string') places.push(place)
      else results[place] = { status: 'failed', reason: 'error', data: undefined, error: body }
    const path = `${pathOf(contract)}?batch`
    const target = this.target(contract.context)
    await Promise.all(
      batchesOf(places, bodies as readonly string[]).map(async (batch) => {
        // An input of undefined has no place in JSON but this one.
        const body = `[${batch.map((place) => bodies[place] || 'null').join()}]`
        const maxBytes = batchBytes(target.rules.maxAnswerBytes, batch.length)
        const outgoing = this.#outgoing(prepare(body), path, startedMs, maxBytes)
        const ended = await target.ask(outgoing, (seen) => readBatch(contract, seen, batch.length, maxBytes))
        for (const [index, place] of batch.entries()) {
          const judged = ended.kind === 'settled' ? ended.settled[index]! : ended
          const result = this.#resultOf(prepare(bodies[place] as string), judged)
          this.#told(contract, result, startedMs, ended)
          results[place] = result
        }
      }),
    )
    return results
  }

  #outgoing(prepared: Prepared, path: string, startedMs: number, maxBytes: number): Outgoing {
    const { contract, body, origin, options, deadlineMs, key, keyMadeMs, freshKey } = prepared
    const ownMs = startedMs + deadlineMs
    const headers: Record<string, string> = { 'content-type': jsonType, [header.caller]: origin.caller }
    if (key !== undefined) headers[header.key] = key
    if (origin.nested) headers[header.nested] = '1'
    // The id of a message may be any text, and then the key stands for it.
    if (origin.correlationId !== undefined && visible.test(origin.correlationId))
      headers[header.correlation] = origin.correlationId
    if (origin.traceparent !== undefined && isHeader(origin.traceparent)) {
      headers[header.traceparent] = origin.traceparent
      if (origin.tracestate !== undefined && isHeader(origin.tracestate))
        headers[header.tracestate] = origin.tracestate
    }
    this.#options.inject?.(headers)
    return {
      call: contract,
      path,
      body,
      headers,
      keyMadeMs,
      freshKey,
      endsMs: origin.endsMs === undefined ? ownMs : Math.min(ownMs, origin.endsMs),
      signal: anyOf(options.signal, origin.signal),
      nested: origin.nested === true,
      maxAnswerBytes: maxBytes,
    }
  }

  #resultOf(prepared: Prepared, judged: Judgement<Settled> | Ended<Settled>): Result {
    const { contract, options, askedBefore, key } = prepared
    if (judged.kind === 'settled') {
      const { settled } = judged
      if (settled.status === 'ok') return { status: 'ok', value: settled.value }
      if (settled.reason !== 'error' || contract.kind === 'command') return settled as Result
      return fallbackOr(options, settled as Result & { readonly error: SpillwayError })
    }
    const { error } = judged
    const isCommand = contract.kind === 'command'
    if (judged.kind === 'refused' && !(isCommand && askedBefore))
      return fallbackOr(options, { status: 'failed', reason: 'error', data: undefined, error })
    const unknown: Result = { status: 'unknown', key, error, again: () => this.#again(prepared) }
    return isCommand ? unknown : fallbackOr(options, unknown)
  }

  async #again(prepared: Prepared): Promise<Result> {
    this.#refuseClosed()
    const { signal, ...others } = prepared.options
    // What ended the first asking would end every other one before it left.
    const options = signal?.aborted ? others : prepared.options
    return this.#perform({ ...prepared, options, freshKey: false, askedBefore: true }, this.#clock.elapsed())
  }

  #told(
    { type, version, context }: CallContract,
    result: Result,
    startedMs: number,
    ended?: Ended<unknown>,
  ): void {
    const { onEnded } = this.#options
    if (!onEnded) return
    const ms = this.#clock.elapsed() - startedMs
    // A fallback does not make it well.
    const outcome = result.status === 'ok' && result.fallback ? 'failed' : result.status
    const error = ended && ended.kind !== 'settled' ? ended.error : undefined
    const reason = reasonOf(result) ?? error?.code
    onEnded({ type, version, context, outcome, reason, attempts: ended?.attempts ?? 0, ms })
  }
}

function reasonOf(result: Result): string | undefined {
  if (result.status === 'ok') return undefined
  return result.status === 'failed' && result.reason !== 'error' ? result.reason : result.error.code
}

/** What the caller did wrong is not hidden by a fallback, nor that it gave up itself. */
const noFallback: ReadonlySet<string> = new Set([
  'INVALID_DATA',
  'TOO_LARGE',
  'KEY_REUSED',
  'ABORTED',
  'INVALID_REQUEST',
])

function fallbackOr({ fallback }: AskOptions, result: Result & { readonly error: SpillwayError }): Result {
  if (fallback === undefined || noFallback.has(result.error.code)) return result
  return { status: 'ok', value: typeof fallback === 'function' ? fallback() : fallback, fallback: true }
}

/** At most so many inputs in one request, and so many bytes. */
function batchesOf(places: readonly number[], bodies: readonly string[]): number[][] {
  const batches: number[][] = []
  let batch: number[] = []
  let bytes = 2
  for (const place of places) {
    const size = Buffer.byteLength(bodies[place]!) + 5
    if (batch.length === maxBatch || (batch.length > 0 && bytes + size > maxBatchBytes)) {
      batches.push(batch)
      batch = []
      bytes = 2
    }
    batch.push(place)
    bytes += size
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

/** What the answers to a batch may take: what they say of themselves, besides what was asked for, is little. */
function batchBytes(ofOne: number, count: number): number {
  return Math.max(ofOne, Math.min(ofOne * count, maxBatchAnswerBytes + maxInputBytes))
}

function anyOf(first: AbortSignal | undefined, second: AbortSignal | undefined): AbortSignal | undefined {
  return first && second ? AbortSignal.any([first, second]) : (first ?? second)
}

/** What came with a message may hold anything; a header may not. */
function isHeader(text: string): boolean {
  return /^[\x20-\x7e]{1,512}$/.test(text)
}
