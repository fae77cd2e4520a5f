import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import type { CommittedPosition, Membership, StreamPort } from '../../ports/stream.ts'
import { type FakeClock, fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'
import { memoryStore } from './store.ts'

const sessionMs = 10_000

/** A member that notes what it is told, and gives back when `hold` is not set, or else when `letGo` is called. */
class Probe {
  readonly held = new Set<number>()
  readonly calls: string[] = []
  readonly positions: CommittedPosition[] = []
  readonly errors: Error[] = []
  membership!: Membership
  hold = false
  letGo = (): void => {}
  /** How often partitions were given to it or taken from it. */
  moves = 0
  #inside = false

  async join(stream: StreamPort, group = 'g'): Promise<this> {
    this.membership = await stream.join('s', group, {
      sessionMs,
      assigned: (partitions) => {
        if (this.#inside) this.errors.push(new Error('assigned overlaps with revoked'))
        this.calls.push(`+${partitions.map(({ partition }) => partition)}`)
        this.positions.push(...partitions)
        for (const { partition } of partitions) this.held.add(partition)
        this.moves += partitions.length
      },
      revoked: async (partitions, lost) => {
        if (this.#inside || lost) this.errors.push(new Error('revoked overlaps with revoked'))
        this.#inside = true
        this.calls.push(`-${partitions}`)
        if (this.hold) await new Promise<void>((resolve) => (this.letGo = resolve))
        for (const partition of partitions) this.held.delete(partition)
        this.moves += partitions.length
        this.#inside = false
      },
      failed: (error) => this.errors.push(error),
    })
    return this
  }
}

async function bench(partitions: number): Promise<{ clock: FakeClock; stream: StreamPort }> {
  const clock = fakeClock()
  const stream = memory({ clock }).stream!
  await stream.declare({ name: 's', partitions })
  return { clock, stream }
}

const calm = async (clock: FakeClock): Promise<void> => {
  for (let round = 0; round < 3; round++) await clock.advance(0)
}

test('partitions come after join has resolved, with the positions committed', async () => {
  const { clock, stream } = await bench(2)
  const first = await new Probe().join(stream)
  assert.deepEqual(first.calls, [])
  await calm(clock)
  assert.deepEqual(first.positions, [
    { partition: 0, position: null },
    { partition: 1, position: null },
  ])
  assert.deepEqual(await first.membership.commit([{ partition: 1, position: 7 }]), ['committed'])
  await first.membership.leave()
  assert.deepEqual(first.calls, ['+0,1', '-0,1'])
  assert.deepEqual(await first.membership.commit([{ partition: 1, position: 8 }]), ['stale'])
  const second = await new Probe().join(stream)
  await calm(clock)
  assert.deepEqual(second.positions[1], { partition: 1, position: 7 })
  assert.deepEqual(await stream.committed('s', 'unknown'), [
    { partition: 0, position: null },
    { partition: 1, position: null },
  ])
})

test('a partition goes to the next member only when it was given back', async () => {
  const { clock, stream } = await bench(2)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  const second = await new Probe().join(stream)
  await clock.advance(sessionMs - 1)
  assert.deepEqual([first.calls, second.calls], [['+0,1', '-1'], []])
  assert.deepEqual(await first.membership.commit([{ partition: 1, position: 4 }]), ['committed'])
  first.letGo()
  await calm(clock)
  assert.deepEqual(second.positions, [{ partition: 1, position: 4 }])
  assert.deepEqual(await first.membership.commit([{ partition: 1, position: 5 }]), ['stale'])
  assert.equal(clock.timers, 0)
})

test('a member that is late has its time and no more; it gets nothing new until it is finished', async () => {
  const { clock, stream } = await bench(4)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  const second = await new Probe().join(stream)
  await clock.advance(sessionMs)
  await calm(clock)
  assert.deepEqual([...second.held], [2, 3])
  assert.deepEqual(
    await first.membership.commit([
      { partition: 0, position: 1 },
      { partition: 2, position: 1 },
    ]),
    ['committed', 'stale'],
  )
  const third = await new Probe().join(stream)
  await calm(clock)
  await second.membership.leave()
  await calm(clock)
  assert.deepEqual([...third.held].sort(), [2, 3], 'the late one is passed over')
  first.letGo()
  await calm(clock)
  assert.deepEqual([...first.held].sort(), [0, 1])
})

test('what a late member cannot take goes to others, and comes back when it is finished', async () => {
  const { clock, stream } = await bench(4)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  const others = [new Probe(), new Probe(), new Probe()] as const
  for (const other of others) await other.join(stream)
  await clock.advance(sessionMs)
  await others[0].membership.leave()
  await others[1].membership.leave()
  await calm(clock)
  assert.deepEqual([...others[2].held].sort(), [1, 2, 3])
  first.hold = false
  first.letGo()
  await calm(clock)
  assert.deepEqual([first.held.size, others[2].held.size], [2, 2])
  assert.deepEqual(first.errors, [])
})

test('callbacks do not overlap, whatever changes while a revoked is under way', async () => {
  const { clock, stream } = await bench(6)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  const second = await new Probe().join(stream)
  await calm(clock)
  const third = await new Probe().join(stream)
  await calm(clock)
  assert.deepEqual(first.calls, ['+0,1,2,3,4,5', '-3,4,5'])
  await second.membership.leave()
  await third.membership.leave()
  await calm(clock)
  first.letGo()
  await calm(clock)
  assert.equal(first.held.size, 6)
  assert.deepEqual(first.errors, [])
  const fourth = await new Probe().join(stream)
  await calm(clock)
  first.letGo()
  await calm(clock)
  const fifth = await new Probe().join(stream)
  await calm(clock)
  // Free while the first one, to whom it would go, still gives back.
  await fourth.membership.leave()
  await calm(clock)
  first.letGo()
  await calm(clock)
  assert.deepEqual([first.held.size, fifth.held.size], [3, 3])
  assert.deepEqual(first.errors, [])
})

test('a late member that leaves does not wait once more', async () => {
  const { clock, stream } = await bench(4)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  const second = await new Probe().join(stream)
  await clock.advance(sessionMs)
  await first.membership.leave()
  await calm(clock)
  assert.equal(second.held.size, 4)
  assert.deepEqual(first.calls, ['+0,1,2,3', '-2,3'])
})

test('leaving waits no longer than the session for a member that does not let go', async () => {
  const { clock, stream } = await bench(2)
  const first = await new Probe().join(stream)
  await calm(clock)
  first.hold = true
  let left = false
  const leaving = first.membership.leave().then(() => {
    left = true
  })
  assert.equal(first.membership.leave(), first.membership.leave())
  const second = await new Probe().join(stream)
  await clock.advance(sessionMs - 1)
  assert.deepEqual([left, second.held.size], [false, 0])
  await clock.advance(1)
  await leaving
  await calm(clock)
  assert.equal(second.held.size, 2)
})

test('a rejected revoked counts as given back; a failing assigned ends the membership', async () => {
  const { clock, stream } = await bench(2)
  await stream.join('s', 'g', {
    sessionMs,
    assigned: () => {},
    revoked: () => Promise.reject(new Error('cannot')),
    failed: () => {},
  })
  await calm(clock)
  const errors: Error[] = []
  const second = await stream.join('s', 'g', {
    sessionMs,
    assigned: () => {
      throw new Error('broken')
    },
    revoked: async () => {},
    failed: (error) => errors.push(error),
  })
  await calm(clock)
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['broken'],
  )
  assert.deepEqual(await second.commit([{ partition: 1, position: 1 }]), ['stale'])
  await second.leave()
  const third = await new Probe().join(stream)
  await calm(clock)
  assert.equal(third.held.size, 1)
})

test('closing an engine ends its memberships without a callback, and others on the store take over', async () => {
  const clock = fakeClock()
  const store = memoryStore({ clock })
  const [one, two] = [memory({ store }), memory({ store })]
  await one.stream!.declare({ name: 's', partitions: 3 })
  const first = await new Probe().join(one.stream!)
  const second = await new Probe().join(two.stream!)
  await calm(clock)
  first.hold = true
  const third = await new Probe().join(two.stream!)
  await calm(clock)
  const before = [...first.calls]
  await one.close()
  await calm(clock)
  assert.deepEqual(first.calls, before)
  assert.equal(second.held.size + third.held.size, 3)
  assert.equal(clock.timers, 0)
  await assert.rejects(first.membership.commit([{ partition: 0, position: 1 }]), { code: 'CLOSED' })
  await first.membership.leave()
})

test('whoever comes and goes: even shares, one holder each, and no more moves than needed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.record({ join: fc.boolean(), which: fc.nat() }), { minLength: 1, maxLength: 12 }),
      async (partitions, changes) => {
        const { clock, stream } = await bench(partitions)
        const members: Probe[] = []
        for (const { join, which } of changes) {
          const joins = join || members.length === 0
          const leaver = joins ? undefined : members.splice(which % members.length, 1)[0]
          const left = leaver?.held.size ?? 0
          const moved = () => members.reduce((sum, { moves }) => sum + moves, 0)
          const start = moved()
          await leaver?.membership.leave()
          if (joins) members.push(await new Probe().join(stream))
          await calm(clock)
          if (members.length === 0) continue
          const sizes = members.map(({ held }) => held.size)
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${sizes}`)
          const all = members.flatMap(({ held }) => [...held]).sort((a, b) => a - b)
          assert.deepEqual(
            all,
            Array.from({ length: partitions }, (_, index) => index),
          )
          // A partition that moves between two who stay is taken once and given once.
          const newcomer = joins ? sizes.at(-1)! : 0
          const least = !joins ? left : members.length === 1 ? newcomer : 2 * newcomer
          assert.equal(moved() - start, least, 'moves')
        }
      },
    ),
    { numRuns: 60 },
  )
})
