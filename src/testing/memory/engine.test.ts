import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSpillwayError } from '../../core/errors.ts'
import { fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'
import { memoryStore } from './store.ts'

const claim = { limit: 10, leaseMs: 1_000, waitMs: 0 }

test('it says that nothing is kept, and strict refuses that', () => {
  const engine = memory()
  assert.equal(engine.durability.level, 'none')
  assert.equal(engine.durability.weaknesses.length, 1)
  assert.throws(
    () => memory({ strict: true }),
    (error) => isSpillwayError(error, 'DURABILITY'),
  )
})

test('two engines have nothing in common, unless they share a store', async () => {
  const [one, two] = [memory(), memory()]
  await one.queue!.declare(['q'])
  await assert.rejects(two.queue!.count('q'), (error) => isSpillwayError(error, 'UNKNOWN_QUEUE'))
  const store = memoryStore()
  const [left, right] = [memory({ store }), memory({ store })]
  await left.queue!.declare(['q'])
  const waiting = right.queue!.claim('q', { ...claim, waitMs: 60_000 })
  await left.queue!.send('q', [{ id: 'x', body: '' }])
  assert.equal((await waiting)[0]?.id, 'x')
})

test('closing ends the waiting calls of this engine only; what is stored stays for the next on the store', async () => {
  const clock = fakeClock()
  const store = memoryStore({ clock })
  const [one, two] = [memory({ store }), memory({ store })]
  await one.queue!.declare(['q'])
  await one.stream!.declare({ name: 's', partitions: 1 })
  const read = { maxRecords: 1, maxBytes: 1, waitMs: 60_000 }
  const ended = [
    one.queue!.claim('q', { ...claim, waitMs: 60_000 }),
    one.stream!.read('s', [{ partition: 0, position: 0 }], read),
  ]
  const waiting = two.queue!.claim('q', { ...claim, waitMs: 60_000 })
  await one.close()
  await one.close()
  assert.deepEqual(await Promise.all(ended), [[], []])
  assert.equal(clock.timers, 1)
  const closed = (error: unknown) => isSpillwayError(error, 'CLOSED')
  await assert.rejects(one.queue!.send('q', []), closed)
  await assert.rejects(one.queue!.declare([]), closed)
  await assert.rejects(one.stream!.bounds('s'), closed)
  await two.queue!.send('q', [{ id: 'x', body: '' }])
  const [x] = await waiting
  await two.close()
  const next = memory({ store }).queue!
  assert.deepEqual(await next.settle('q', [{ lease: x!.lease, kind: 'done' }]), ['settled'])
})

test('a store has its own clock and bound', () => {
  const invalid = (error: unknown) => isSpillwayError(error, 'INVALID_OPTION')
  assert.throws(() => memory({ store: memoryStore(), clock: fakeClock() }), invalid)
  assert.throws(() => memory({ store: memoryStore(), maxMessages: 5 }), invalid)
  assert.throws(() => memory({ maxMessages: 0 }), invalid)
})
