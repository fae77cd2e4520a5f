// The probe plays the stale holder: it lets leases expire and partitions pass to another handle, and then settles,
// extends and commits with what it no longer has. Straight at the ports, on a queue and a stream of its own.

import { setTimeout as delay } from 'node:timers/promises'
import { newId } from '../../../src/core/id.ts'
import { type Engine, isSpillwayError } from '../../../src/index.ts'
import type { ClaimedMessage, Settlement } from '../../../src/ports/queue.ts'
import type { CommittedPosition, Membership, StreamPort } from '../../../src/ports/stream.ts'
import { Journal } from '../journal.ts'
import type { Setting, Work } from './setting.ts'
import { loops } from './setting.ts'

const partitions = 2

/** `other` is a second, independent handle on the same engine. */
export async function probe(setting: Setting, other: Engine): Promise<Work> {
  const { spec, engine } = setting
  const journal = new Journal(spec.folder, spec.name)
  const acts: (() => Promise<void>)[] = []
  const queue = `probe${spec.run}`
  if (engine.queue?.capabilities.fencing === 'engine') {
    await engine.queue.declare([queue])
    acts.push(() => probeLeases(setting, other, queue, journal))
  }
  if (engine.stream?.capabilities.fencing === 'engine') {
    await engine.stream.declare({ name: queue, partitions })
    acts.push(() => probePartitions(setting, other, queue, journal))
  }
  const hush = loops(acts.length, async (index, ended) => {
    while (!ended())
      try {
        await acts[index]!()
      } catch (thrown) {
        // Its server was killed: it tries the next.
        if (!isSpillwayError(thrown) || !thrown.retryable) throw thrown
        await delay(500)
      }
  })
  return { hush, stop: async () => journal.close() }
}

const settlements: readonly ((lease: string) => Settlement)[] = [
  (lease) => ({ lease, kind: 'done' }),
  (lease) => ({ lease, kind: 'retry', delayMs: 0 }),
  (lease) => ({ lease, kind: 'release' }),
  (lease) => ({ lease, kind: 'dead-letter', reason: 'a stale holder said so' }),
]

async function probeLeases(
  { spec, engine }: Setting,
  other: Engine,
  queue: string,
  journal: Journal,
): Promise<void> {
  const [stale, holder] = [engine.queue!, other.queue!]
  const limit = settlements.length
  await stale.send(
    queue,
    settlements.map(() => ({ id: newId(), body: '{}' })),
  )
  const old = await stale.claim(queue, { limit, leaseMs: spec.leaseMs, waitMs: 0 })
  const now: ClaimedMessage[] = []
  // The lease of the new holder is long: what is settled below must be refused because of it, not of its end.
  const deadline = Date.now() + 20_000
  while (!old.every(({ id }) => now.some((claimed) => claimed.id === id)) && Date.now() < deadline)
    now.push(...(await holder.claim(queue, { limit, leaseMs: 60_000, waitMs: spec.leaseMs })))
  const passed = old.filter(({ id }) => now.some((claimed) => claimed.id === id))
  const leases = passed.map(({ lease }) => lease)
  for (const result of await stale.extend(queue, leases, 60_000))
    journal.probe('extend', result === 'extended')
  const ends = leases.map((lease, index) => settlements[index % settlements.length]!(lease))
  for (const result of await stale.settle(queue, ends)) journal.probe('settle', result === 'settled')
  // If any of that had an effect, the rightful holder has lost its message.
  const rightful = now.map(({ lease }) => ({ lease, kind: 'done' as const }))
  for (const result of await holder.settle(queue, rightful)) journal.probe('theft', result !== 'settled')
}

async function probePartitions(
  { spec, engine }: Setting,
  other: Engine,
  stream: string,
  journal: Journal,
): Promise<void> {
  const group = `g${newId()}`
  const first = await join(engine.stream!, stream, group, spec.sessionMs)
  await first.until((held) => held.size === partitions)
  const second = await join(other.stream!, stream, group, spec.sessionMs)
  await second.until((held) => held.size > 0)
  const positions = [...second.held].map((partition) => ({ partition, position: 0 }))
  for (const result of await first.membership.commit(positions))
    journal.probe('commit', result === 'committed')
  await Promise.all([first.membership.leave(), second.membership.leave()])
}

interface Member {
  readonly held: ReadonlySet<number>
  readonly membership: Membership
  until(condition: (held: ReadonlySet<number>) => boolean): Promise<void>
}

async function join(port: StreamPort, stream: string, group: string, sessionMs: number): Promise<Member> {
  const held = new Set<number>()
  let changed = () => {}
  const over = Promise.withResolvers<never>()
  over.promise.catch(() => {})
  const membership = await port.join(stream, group, {
    sessionMs,
    assigned(partitions: readonly CommittedPosition[]) {
      for (const { partition } of partitions) held.add(partition)
      changed()
    },
    async revoked(partitions) {
      for (const partition of partitions) held.delete(partition)
      changed()
    },
    failed: (error) => over.reject(error),
  })
  const until = async (condition: (held: ReadonlySet<number>) => boolean) => {
    while (!condition(held))
      await Promise.race([over.promise, new Promise<void>((resolve) => (changed = resolve))])
  }
  return { held, membership, until }
}
