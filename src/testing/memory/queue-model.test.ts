// Random histories of the queue, with random rules, against a model that is too simple to be wrong: one list, looked through
// each time. Whose turn it is among groups the model does not say; it checks that nobody had two while another waited.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import type { ClaimedMessage, ExtendResult, Settlement, SettleResult } from '../../ports/queue.ts'
import type { CancelResult } from '../../ports/queue-control.ts'
import type { QueueRules } from '../../ports/queue-rules.ts'
import { fakeClock } from '../fake-clock.ts'
import { memory } from './engine.ts'

interface Item {
  readonly id: string
  readonly key: string | undefined
  readonly priority: number
  readonly group: string | undefined
  order: number
  state: 'ready' | 'delayed' | 'leased' | 'dead' | 'gone'
  until: number
  starts: number
  token: number
  lease: string | undefined
  suspect: boolean
  cancelled: boolean
}

type Carried = Pick<Item, 'key' | 'priority' | 'group'>

class Model {
  readonly items: Item[] = []
  readonly rules: QueueRules
  #order = 0
  /** For each group of a priority that can be claimed: who was served since its last turn. */
  #served = new Map<string, Set<string>>()

  constructor(rules: QueueRules) {
    this.rules = rules
  }

  send(id: string, carried: Carried, until: number): void {
    const order = this.#order++
    const state = until > 0 ? 'delayed' : 'ready'
    const fresh = { starts: 0, token: 0, lease: undefined, suspect: false, cancelled: false }
    this.items.push({ ...carried, id, order, state, until, ...fresh })
  }

  tick(now: number): void {
    for (const item of this.items)
      if ((item.state === 'delayed' || item.state === 'leased') && item.until <= now) {
        item.state = item.cancelled ? 'gone' : 'ready'
        if (item.cancelled) item.lease = undefined
      }
    const waiting = new Set(this.#candidates().map((item) => this.#lane(item)))
    for (const lane of this.#served.keys()) if (!waiting.has(lane)) this.#served.delete(lane)
  }

  /** Takes over what was claimed, message by message, when each of them may come next. */
  claim(found: readonly ClaimedMessage[], limit: number, until: number): void {
    for (const { id, starts, fencingToken, suspect, lease } of found) {
      const candidates = this.#candidates()
      const highest = Math.max(...candidates.map((item) => this.#priority(item)))
      const next = candidates.filter((item) => this.#priority(item) === highest)
      const item = next.find((one) => one.id === id)
      assert.ok(item, `${id} is none of ${next.map((one) => one.id)}`)
      const older = next.filter((one) => one.order < item.order && this.#lane(one) === this.#lane(item))
      assert.deepEqual(older, [], `${id} is the oldest of its group`)
      this.#turn(this.#lane(item), new Set(next.map((one) => this.#lane(one))))
      if (item.lease !== undefined) item.suspect = true
      item.starts++
      item.token++
      item.state = 'leased'
      item.until = until
      item.lease = lease
      assert.deepEqual([starts, fencingToken, suspect], [item.starts, item.token, item.suspect])
    }
    if (found.length < limit) assert.deepEqual(this.#candidates(), [], 'it gave all that could be claimed')
  }

  settle(lease: string, kind: Settlement['kind'], until: number): SettleResult {
    const item = this.items.find((one) => one.lease === lease)
    if (item === undefined) return 'stale'
    item.lease = undefined
    if (kind === 'release') item.starts--
    if (kind === 'retry') item.suspect = false
    if (kind === 'done' || item.cancelled) item.state = 'gone'
    else item.state = kind === 'dead-letter' ? 'dead' : until > 0 ? 'delayed' : 'ready'
    item.until = until
    return 'settled'
  }

  extend(lease: string, until: number): ExtendResult {
    const item = this.items.find((one) => one.lease === lease)
    if (item === undefined || (item.state !== 'leased' && !this.#hasPlace(item))) return 'stale'
    item.state = 'leased'
    item.until = until
    return item.cancelled ? 'cancelled' : 'extended'
  }

  cancel(id: string): CancelResult {
    const item = this.items.find((one) => one.id === id)
    if (item === undefined || item.state === 'dead' || item.state === 'gone') return 'unknown'
    item.cancelled = true
    if (item.state === 'leased') return 'signalled'
    item.state = 'gone'
    item.lease = undefined
    return 'removed'
  }

  redrive(item: Item): void {
    item.order = this.#order++
    item.state = 'ready'
    item.starts = 0
    item.suspect = false
  }

  count(state: Item['state']): number {
    return this.items.filter((item) => item.state === state).length
  }

  #candidates(): Item[] {
    return this.items.filter((item) => item.state === 'ready' && this.#hasPlace(item) && this.#isHead(item))
  }

  #isHead({ key, order }: Item): boolean {
    const waits = ['ready', 'delayed', 'leased']
    const ahead = (one: Item) => one.key === key && one.order < order && waits.includes(one.state)
    return !this.rules.keyOrder || key === undefined || !this.items.some(ahead)
  }

  #hasPlace({ group }: Item): boolean {
    const { concurrency = 1_000, groups } = this.rules
    const leased = this.items.filter(({ state }) => state === 'leased')
    const ofGroup = leased.filter((one) => one.group === group)
    return leased.length < concurrency && (!groups || ofGroup.length < (groups.concurrency ?? 1_000))
  }

  #priority({ priority }: Item): number {
    return this.rules.priority ? priority : 0
  }

  #lane(item: Item): string {
    return `${this.#priority(item)} ${this.rules.groups ? item.group : 'all'}`
  }

  #turn(lane: string, waiting: ReadonlySet<string>): void {
    this.#served.delete(lane)
    for (const other of waiting) {
      if (other === lane) continue
      const served = this.#served.get(other) ?? new Set()
      assert.ok(!served.has(lane), `${lane} had two turns while ${other} waited`)
      this.#served.set(other, served.add(lane))
    }
  }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('send' as const),
    delay: fc.constantFrom(0, 0, 100, 350),
    count: fc.nat(4),
    key: fc.constantFrom('a', 'b', undefined),
    priority: fc.constantFrom(0, 0, 1, -1),
    group: fc.constantFrom('x', 'y', undefined),
  }),
  fc.record({ kind: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constantFrom('done' as const, 'retry' as const, 'release' as const, 'dead-letter' as const),
    which: fc.nat(),
    delay: fc.constantFrom(0, 100, 350),
  }),
  fc.record({ kind: fc.constant('extend' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('cancel' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('redrive' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(50, 100, 300) }),
)

const someRules: fc.Arbitrary<QueueRules> = fc.record(
  {
    keyOrder: fc.boolean(),
    priority: fc.boolean(),
    groups: fc.constantFrom({}, { concurrency: 1 }, { concurrency: 2 }),
    concurrency: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: [] },
)

test('a random history is the same as that of the model', { timeout: 60_000 }, async () => {
  const steps = fc.array(step, { minLength: 20, maxLength: 80 })
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.constant<QueueRules>({}), someRules), steps, async (rules, steps) => {
      const clock = fakeClock(0)
      const engine = memory({ clock })
      const queue = engine.queue!
      await queue.declare(['q'], rules)
      const model = new Model(rules)
      const leases: string[] = []
      // Mostly one of the newest, which may still mean something.
      const pick = (which: number) => leases.at(-1 - (which % (which % 3 ? 6 : leases.length + 1))) ?? 'none'
      for (const one of steps) {
        const now = clock.now()
        model.tick(now)
        const after = (ms: number) => (ms === 0 ? 0 : now + ms)
        if (one.kind === 'send') {
          const { delay: delayMs, key } = one
          const priority = rules.priority ? one.priority : undefined
          const group = rules.groups ? one.group : undefined
          const sent = Array.from({ length: one.count }, (_, index) => `m${model.items.length + index}`)
          for (const id of sent) model.send(id, { key, priority: one.priority, group }, after(delayMs))
          const messages = sent.map((id) => ({ id, key, body: id, delayMs, priority, group }))
          assert.deepEqual(await queue.send('q', messages), [])
        } else if (one.kind === 'claim') {
          const found = await queue.claim('q', { limit: one.limit, leaseMs: 200, waitMs: 0 })
          model.claim(found, one.limit, now + 200)
          for (const { lease } of found) assert.ok(!leases.includes(lease), 'no lease is named twice')
          leases.push(...found.map(({ lease }) => lease))
        } else if (one.kind === 'advance') {
          await clock.advance(one.ms)
        } else if (one.kind === 'extend') {
          const lease = pick(one.which)
          assert.deepEqual(await queue.extend('q', [lease], 300), [model.extend(lease, now + 300)])
        } else if (one.kind === 'cancel') {
          const id = `m${one.which % (model.items.length + 1)}`
          assert.deepEqual(await queue.cancel('q', [id]), [model.cancel(id)])
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
          waiting: 0,
          leased: model.count('leased'),
          dead: model.count('dead'),
          paused: false,
        })
        const ids = (await queue.peek('q', { limit: 1_000 })).map(({ id }) => id)
        const here = model.items.filter(({ state }) => state !== 'dead' && state !== 'gone')
        assert.deepEqual(
          ids,
          here.sort((a, b) => a.order - b.order).map(({ id }) => id),
        )
      }
      await engine.close()
      assert.equal(clock.timers, 0)
    }),
    { numRuns: 2_000 },
  )
})
