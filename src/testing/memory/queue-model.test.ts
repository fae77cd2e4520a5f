// Random histories of the queue against a model that is too simple to be wrong: one list, looked through each time.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import type { ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import { fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'

interface Item {
  readonly id: string
  order: number
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'gone'
  until: number
  starts: number
  token: number
  lease: string | undefined
}

class Model {
  readonly items: Item[] = []
  #order = 0

  send(id: string, until: number): void {
    const order = this.#order++
    const state = until > 0 ? 'delayed' : 'ready'
    this.items.push({ id, order, state, until, starts: 0, token: 0, lease: undefined })
  }

  tick(now: number): void {
    for (const item of this.items)
      if ((item.state === 'delayed' || item.state === 'leased') && item.until <= now) item.state = 'ready'
  }

  claimable(limit: number): Item[] {
    return this.items
      .filter((item) => item.state === 'ready')
      .sort((a, b) => a.order - b.order)
      .slice(0, limit)
  }

  settle(lease: string, kind: Settlement['kind'], until: number): SettleResult {
    const item = this.items.find((one) => one.lease === lease)
    if (item === undefined) return 'stale'
    item.lease = undefined
    if (kind === 'release') item.starts--
    item.state = kind === 'done' ? 'gone' : kind === 'dead-letter' ? 'dead' : until > 0 ? 'delayed' : 'ready'
    item.until = until
    return 'settled'
  }

  extend(lease: string, until: number): ExtendResult {
    const item = this.items.find((one) => one.lease === lease)
    if (item === undefined) return 'stale'
    item.state = 'leased'
    item.until = until
    return 'extended'
  }

  redrive(item: Item): void {
    item.order = this.#order++
    item.state = 'ready'
    item.starts = 0
  }

  count(state: Item['state']): number {
    return this.items.filter((item) => item.state === state).length
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), delay: fc.constantFrom(0, 0, 100, 350), count: fc.nat(4) }),
  fc.record({ kind: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constantFrom('done' as const, 'retry' as const, 'release' as const, 'dead-letter' as const),
    which: fc.nat(),
    delay: fc.constantFrom(0, 100, 350),
  }),
  fc.record({ kind: fc.constant('extend' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('redrive' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(50, 100, 300) }),
)

test('a random history is the same as that of the model', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const clock = fakeClock(0)
      const engine = memory({ clock })
      const queue = engine.queue!
      await queue.declare(['q'])
      const model = new Model()
      const leases: string[] = []
      const pick = (which: number) => leases[which % Math.max(leases.length, 1)] ?? 'none'
      for (const one of steps) {
        const now = clock.now()
        model.tick(now)
        const after = (ms: number) => (ms === 0 ? 0 : now + ms)
        if (one.kind === 'send') {
          const sent = Array.from({ length: one.count }, (_, index) => `m${model.items.length + index}`)
          for (const id of sent) model.send(id, after(one.delay))
          await queue.send(
            'q',
            sent.map((id) => ({ id, body: id, delayMs: one.delay })),
          )
        } else if (one.kind === 'claim') {
          const found = await queue.claim('q', { limit: one.limit, leaseMs: 200, waitMs: 0 })
          const expected = model.claimable(one.limit)
          for (const [index, item] of expected.entries()) {
            item.starts++
            item.token++
            item.state = 'leased'
            item.until = now + 200
            item.lease = found[index]?.lease
          }
          assert.deepEqual(
            found.map(({ id, starts, fencingToken }) => [id, starts, fencingToken]),
            expected.map(({ id, starts, token }) => [id, starts, token]),
          )
          for (const { lease } of found) assert.ok(!leases.includes(lease), 'no lease is named twice')
          leases.push(...found.map(({ lease }) => lease))
        } else if (one.kind === 'advance') {
          await clock.advance(one.ms)
        } else if (one.kind === 'extend') {
          const lease = pick(one.which)
          assert.deepEqual(await queue.extend('q', [lease], 300), [model.extend(lease, now + 300)])
        } else if (one.kind === 'redrive') {
          const dead = await queue.deadLetters('q', { limit: 100 })
          const chosen = dead[one.which % Math.max(dead.length, 1)]
          if (chosen === undefined) continue
          model.redrive(model.items.find((item) => item.id === chosen.id)!)
          assert.equal(await queue.redrive('q', [chosen.handle]), 1)
        } else {
          const lease = pick(one.which)
          const delayMs = one.kind === 'retry' ? one.delay : 0
          const expected = model.settle(lease, one.kind, after(delayMs))
          const settlement = { lease, kind: one.kind, delayMs, reason: 'why' } as Settlement
          assert.deepEqual(await queue.settle('q', [settlement]), [expected])
        }
        model.tick(clock.now())
        assert.deepEqual(await queue.count('q'), {
          ready: model.count('ready'),
          delayed: model.count('delayed'),
          leased: model.count('leased'),
          dead: model.count('dead'),
          paused: false,
        })
      }
      await engine.close()
      assert.equal(clock.timers, 0)
    }),
    { numRuns: 150 },
  )
})
