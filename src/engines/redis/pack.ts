// Requests in the form that the script reads: numbers one after the other, eight bytes each, so that nothing is written out and read again as text.
import { createHash } from 'node:crypto'
import type { StoredAlgorithm } from '../../core/bucket/algorithm.ts'
import type { BucketAnswer, LimitExchange, LimitVerdict } from '../../ports/limit.ts'
import { script } from './exchange-script.ts'

export const scriptHash: string = createHash('sha1').update(script).digest('hex')

/** The numbers of an algorithm as bucket-script.ts has them: its kind, its bound, and up to three more. */
function numbersOf(algorithm: StoredAlgorithm): readonly number[] {
  switch (algorithm.kind) {
    case 'token-bucket':
      return [1, algorithm.capacity, algorithm.unit, algorithm.rate, algorithm.tickUs]
    case 'log':
      return [2, algorithm.limit, algorithm.perUs, algorithm.ring]
    case 'sliding-window':
      return [3, algorithm.limit, algorithm.sliceUs]
    case 'fixed-window':
      return [4, algorithm.limit, algorithm.perUs]
    case 'calendar-window':
      return [5, algorithm.limit, algorithm.endUs]
    case 'concurrency':
      return [6, algorithm.limit]
    case 'ban':
      return [7, algorithm.limit, algorithm.withinUs, algorithm.forUs, algorithm.upToUs]
  }
}

const perAsk = 11

/** What the script is asked, beyond the port: for requests that are decided over several slots. */
export interface ScriptRequest extends LimitExchange {
  /** Where all costs are available they are not taken, but leased under this name; of concurrency by the holder, as ever. */
  readonly holds?: { readonly by: string; readonly forMs: number }
  /** Nothing is taken: settles, leases and looks. */
  readonly looks?: true
}

/** All that follows EVALSHA and the hash, or EVAL and the script. `latestUs`: no later time of the server is believed. */
export function packed(
  requests: readonly ScriptRequest[],
  prefix: string,
  latestUs: number,
): (string | Buffer)[] {
  let asked = 0
  let more = 0
  for (const { asks, holds, looks } of requests) {
    asked += asks.length
    if (holds || looks) more += 2
  }
  const numbers = new Float64Array(2 + 3 * requests.length + more + perAsk * asked)
  const holders: string[] = []
  const args: (string | Buffer)[] = [`${asked}`]
  numbers[0] = latestUs
  numbers[1] = requests.length
  let at = 2
  const placeOf = (holder: string): number => {
    const place = holders.indexOf(holder)
    return place < 0 ? holders.push(holder) : place + 1
  }
  for (const { holder, leaseMs, asks, holds, looks } of requests) {
    numbers[at] = placeOf(holder)
    numbers[at + 1] = leaseMs
    numbers[at + 2] = asks.length
    at += 3
    if (holds || looks) {
      numbers[at - 1] = -asks.length
      numbers[at] = holds ? placeOf(holds.by) : 0
      numbers[at + 1] = holds?.forMs ?? 0
      at += 2
    }
    for (const { bucket, algorithm, used, cost, hold, penalty, refund } of asks) {
      args.push(prefix + bucket)
      numbers.set(numbersOf(algorithm), at)
      numbers[at + 5] = used
      numbers[at + 6] = cost
      numbers[at + 7] = hold
      numbers[at + 8] = penalty ?? 0
      numbers[at + 9] = refund?.units ?? 0
      numbers[at + 10] = refund?.takenUs ?? 0
      at += perAsk
    }
  }
  const bytes = Buffer.from(numbers.buffer)
  // The script reads the order of bytes that nearly every machine has.
  if (isBigEndian) bytes.swap64()
  args.push(bytes, ...holders)
  return args
}

const isBigEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0

/** The answers, in the order of the requests. The first number is the time of the server. */
export function unpacked(requests: readonly LimitExchange[], answer: readonly number[]): LimitVerdict[] {
  let at = 1
  return requests.map(({ asks }) => {
    const allowed = answer[at] === 1
    const nowUs = answer[at + 1]!
    at += 2
    const buckets = asks.map((): BucketAnswer => {
      const earliestUs = answer[at + 3]!
      const one = {
        available: answer[at]!,
        held: answer[at + 1]!,
        takenUs: answer[at + 2]!,
        earliestUs: earliestUs < 0 ? Number.POSITIVE_INFINITY : earliestUs,
      }
      at += 4
      return one
    })
    return { allowed, nowUs, buckets }
  })
}
