// An exchange read as the answer to one call, or to a batch of them.
import type { CallContract } from '../../core/call-contract.ts'
import type { BatchElement } from '../wire.ts'
import type { Seen } from './exchange.ts'
import {
  type Judgement,
  judgeAnswer,
  judgeBroken,
  parseAnswer,
  type Settled,
  settledError,
  tooLarge,
  unreadable,
} from './judge.ts'

export function readOne(
  contract: CallContract,
  seen: Seen,
  maxBytes: number,
): Judgement<Settled> | Promise<Judgement<Settled>> {
  if (seen.kind === 'broken')
    return seen.by === 'too large'
      ? tooLarge(contract, seen.status ?? 0, maxBytes)
      : judgeBroken(contract.type, seen)
  const parsed = parseAnswer(seen)
  if (parsed === undefined) return unreadable(contract.type, seen.contentType)
  return judgeAnswer(contract, seen.status, parsed.body)
}

/** Settled with a judgement for each input, in their order. */
export async function readBatch(
  contract: CallContract,
  seen: Seen,
  count: number,
  maxBytes: number,
): Promise<Judgement<readonly Judgement<Settled>[]>> {
  if (seen.kind === 'answer' && seen.status === 200) {
    const parsed = parseAnswer(seen)
    if (parsed === undefined) return unreadable(contract.type, seen.contentType)
    const elements = elementsOf(parsed.body, count)
    const judged = elements?.map(({ status, body }) => judgeAnswer(contract, status, body))
    return {
      kind: 'settled',
      settled: judged
        ? await Promise.all(judged)
        : Array.from({ length: count }, () => noBatch(contract.type, count)),
    }
  }
  const judged = await readOne(contract, seen, maxBytes)
  // An error for the whole batch is one for each.
  return judged.kind === 'settled'
    ? { kind: 'settled', settled: Array.from({ length: count }, () => judged) }
    : judged
}

function elementsOf(body: unknown, count: number): readonly BatchElement[] | undefined {
  if (!Array.isArray(body) || body.length !== count) return undefined
  return body.every((each) => typeof (each as BatchElement | null)?.status === 'number') ? body : undefined
}

function noBatch(type: string, count: number): Judgement<Settled> {
  const what = `${type}: the answer to ${count} inputs is no list of as many answers.`
  return settledError('INVALID_ANSWER', what, [], 'Correct who answers.')
}
