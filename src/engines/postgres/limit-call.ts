// A batch of requests as the parameters of `limit_exchange`, and its answers.
import type { BucketAsk, LimitExchange, LimitVerdict } from '../../ports/limit.ts'
import { int4Array, int8Array, textArray } from './arrays.ts'
import { bucketKind, bucketParameters } from './bucket-functions.ts'
import type { Value } from './connection.ts'

export interface ExchangeRow {
  /** The server's clock, after the act. */
  readonly server: number
  readonly allowed: readonly boolean[]
  readonly nows: readonly number[]
  readonly available: readonly number[]
  readonly held: readonly number[]
  readonly taken: readonly number[]
  readonly earliest: readonly (number | null)[]
}

export function exchangeText(schema: string): string {
  return `select allowed, nows::float8[], available::float8[], held::float8[], taken::float8[], earliest::float8[],
  floor(extract(epoch from clock_timestamp()) * 1000000)::float8 as server
from ${schema}.limit_exchange(${Array.from({ length: 15 }, (_, i) => `$${i + 1}`).join(', ')})`
}

/** `latestUs`: no time after that is believed. */
export function exchangeValues(requests: readonly LimitExchange[], latestUs: number): Value[] {
  const asks = requests.flatMap((request) => request.asks)
  const { names, firsts, places } = placesOf(asks)
  const units = (of: (ask: BucketAsk) => number | undefined) => int8Array(asks.map(of))
  return [
    latestUs,
    textArray(names),
    int4Array(firsts),
    textArray(requests.map(({ holder }) => holder)),
    int8Array(requests.map(({ leaseMs }) => leaseMs * 1_000)),
    int4Array(requests.map((request) => request.asks.length)),
    int4Array(places),
    int4Array(asks.map(({ algorithm }) => bucketKind[algorithm.kind])),
    int8Array(asks.flatMap(({ algorithm }) => bucketParameters(algorithm))),
    units(({ used }) => used),
    units(({ cost }) => cost),
    units(({ hold }) => hold),
    units(({ penalty = 0 }) => penalty),
    units(({ refund }) => refund?.units),
    units(({ refund }) => refund?.takenUs),
  ]
}

/** All names once, in the order in which every process locks them; the first ask of each, and the place of each ask's among them. From 1. */
function placesOf(asks: readonly BucketAsk[]): {
  readonly names: readonly string[]
  readonly firsts: readonly number[]
  readonly places: readonly number[]
} {
  // As the server has it: what is no text is the same to it.
  const wanted = asks.map(({ bucket }) => bucket.toWellFormed())
  const first = new Map<string, number>()
  for (const [index, name] of wanted.entries()) if (!first.has(name)) first.set(name, index + 1)
  const names = [...first.keys()].sort()
  const place = new Map(names.map((name, index) => [name, index + 1]))
  return {
    names,
    firsts: names.map((name) => first.get(name)!),
    places: wanted.map((name) => place.get(name)!),
  }
}

export function verdictsOf(requests: readonly LimitExchange[], row: ExchangeRow): LimitVerdict[] {
  let at = 0
  return requests.map(({ asks }, index) => ({
    allowed: row.allowed[index]!,
    nowUs: row.nows[index]!,
    buckets: asks.map(() => {
      const ask = at++
      return {
        available: row.available[ask]!,
        held: row.held[ask]!,
        takenUs: row.taken[ask]!,
        earliestUs: row.earliest[ask] ?? Number.POSITIVE_INFINITY,
      }
    }),
  }))
}
