// A request over buckets in several slots of a cluster. A script sees one slot, so it is decided in two phases.
//
// First every slot is asked to hold what the request costs there: all of that slot's part or nothing, as a lease under a name that only this request has. When
// all of them hold it the request is allowed: in the second phase the leases are settled as used. When one does not, those that do have it back.
// Whoever is killed in between holds what he held until the end of the lease, and then it counts as used: as with any lease, nothing is minted. To tell a
// slot that it is allowed is right whenever it comes, since a lease that has ended was counted as used already.
//
// Concurrency is a lease in any case: it is held by the holder of the request from the first phase on.
import type { BucketAnswer, BucketAsk, LimitExchange, LimitVerdict } from '../../ports/limit.ts'
import type { ScriptRequest } from './pack.ts'

export interface OverSlots {
  /** Asks one slot. `anyway`: what was begun is ended, however much waits. */
  readonly submit: (
    requests: readonly ScriptRequest[],
    slot: number,
    anyway: boolean,
  ) => Promise<LimitVerdict[]>
  /** By which name this request holds, and no other. */
  readonly name: string
  /** How long: longer than both phases may take. */
  readonly holdMs: number
}

/** The asks of a request that are in one slot. */
interface Part {
  readonly slot: number
  readonly places: number[]
  readonly asks: BucketAsk[]
}

interface Settled {
  readonly part: Part
  readonly look: LimitVerdict
  /** Of the buckets whose cost was held. */
  readonly takenUs: ReadonlyMap<string, number>
}

/** `slots` are those of the asks. Rejects when a slot did not answer: then what it held, and what the others were told too late, may count as taken. */
export async function decideOverSlots(
  request: LimitExchange,
  slots: readonly number[],
  setting: OverSlots,
): Promise<LimitVerdict> {
  const parts = partsOf(request, slots)
  const held = await Promise.allSettled(parts.map((part) => hold(request, part, setting)))
  const allowed = held.every((one) => one.status === 'fulfilled' && one.value.allowed)
  const settling = Promise.all(
    parts.flatMap((part, index) => {
      const one = held[index]!
      return one.status === 'fulfilled' ? [settle(request, part, one.value, allowed, setting)] : []
    }),
  )
  const failed = held.find((one) => one.status === 'rejected')
  if (failed) {
    // What the others hold is given back, or ends by itself: whoever asked need not wait for it.
    settling.catch(() => {})
    throw failed.reason
  }
  return verdictOf(request, allowed, await settling)
}

async function hold(
  { holder, leaseMs }: LimitExchange,
  { slot, asks }: Part,
  { submit, name, holdMs }: OverSlots,
): Promise<LimitVerdict> {
  const [verdict] = await submit(
    [
      {
        holder,
        leaseMs,
        asks: asks.map((ask) => ({ ...ask, hold: 0 })),
        holds: { by: name, forMs: holdMs },
      },
    ],
    slot,
    false,
  )
  return verdict!
}

/** What was held is used or given back; then the holder's leases are given anew, and it is seen what is left. */
async function settle(
  { holder, leaseMs }: LimitExchange,
  part: Part,
  held: LimitVerdict,
  allowed: boolean,
  { submit, name }: OverSlots,
): Promise<Settled> {
  const { slot, asks } = part
  const costing = asks.filter(({ cost, algorithm }) => cost > 0 && algorithm.kind !== 'concurrency')
  const used = costing.map(({ bucket, algorithm, cost }) => ({
    bucket,
    algorithm,
    used: allowed ? cost : 0,
    cost: 0,
    hold: 0,
  }))
  const look: ScriptRequest = {
    holder,
    leaseMs,
    looks: true,
    asks: asks.map(({ bucket, algorithm, cost, hold }, index) => ({
      bucket,
      algorithm,
      // What was used of other leases the first phase was told. What is in use is what it left, with the cost where that was held.
      used:
        algorithm.kind === 'concurrency'
          ? held.buckets[index]!.held - (held.allowed && !allowed ? cost : 0)
          : 0,
      cost,
      hold,
    })),
  }
  const settlement: readonly ScriptRequest[] =
    used.length > 0 ? [{ holder: name, leaseMs: 1, asks: used }, look] : [look]
  const verdicts = await submit(settlement, slot, true)
  const takenUs = new Map(
    allowed ? used.map(({ bucket }, index) => [bucket, verdicts[0]!.buckets[index]!.takenUs]) : [],
  )
  return { part, look: verdicts.at(-1)!, takenUs }
}

/** Nodes have clocks of their own: times from which on something is there are told by the latest, when something was taken by that of its bucket. */
function verdictOf(request: LimitExchange, allowed: boolean, settled: readonly Settled[]): LimitVerdict {
  const nowUs = Math.max(...settled.map(({ look }) => look.nowUs))
  const buckets: BucketAnswer[] = new Array(request.asks.length)
  for (const { part, look, takenUs } of settled)
    for (const [index, place] of part.places.entries()) {
      const answer = look.buckets[index]!
      buckets[place] = {
        ...answer,
        takenUs: takenUs.get(part.asks[index]!.bucket) ?? answer.takenUs,
        earliestUs: answer.earliestUs + (nowUs - look.nowUs),
      }
    }
  return { allowed, nowUs, buckets }
}

function partsOf({ asks }: LimitExchange, slots: readonly number[]): Part[] {
  const parts = new Map<number, Part>()
  for (const [place, ask] of asks.entries()) {
    const slot = slots[place]!
    const part = parts.get(slot) ?? { slot, places: [], asks: [] }
    parts.set(slot, part)
    part.places.push(place)
    part.asks.push(ask)
  }
  return [...parts.values()]
}
