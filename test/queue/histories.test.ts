// Random histories under random rules, through two handles, on every engine that has the rules: leases, fencing, the order of keys,
// deduplication, fair turns, places. Each is compared with the model, call by call.
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { vi } from 'vitest'
import type { QueuePort, Settlement } from '../../src/ports/queue.ts'
import type { QueueRules } from '../../src/ports/queue-rules.ts'
import { eachEngineAllows } from '../random-histories.ts'
import { type Ending, QueueModel, type Sent } from './model.ts'

const hourMs = 3_600_000
const shortMs = 100

const someRules: fc.Arbitrary<QueueRules> = fc.record(
  {
    keyOrder: fc.constant(true),
    priority: fc.constant(true),
    dedup: fc.constant(true),
    groups: fc.constantFrom({}, { concurrency: 1 }, { concurrency: 2 }),
    concurrency: fc.integer({ min: 1, max: 5 }),
  },
  { requiredKeys: [] },
)

const which = fc.nat(1_000)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      messages: fc.array(
        fc.record({
          key: fc.constantFrom('a', 'b', '\u{1f511}', undefined),
          priority: fc.constantFrom(0, 0, 0, 1, -1),
          group: fc.constantFrom('x', 'y', 'z', undefined),
          dedup: fc.constantFrom('d1', 'd2', 'd3', undefined, undefined),
          kept: fc.boolean(),
          delayed: fc.nat(9),
        }),
        { minLength: 1, maxLength: 5 },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      which,
      ending: fc.constantFrom<Ending>('done', 'done', 'retry', 'later', 'release', 'dead-letter'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('expire' as const),
      limit: fc.integer({ min: 1, max: 3 }),
      cancel: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('extend' as const, 'cancel' as const, 'redrive' as const),
      which,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'purge waiting' as const,
        'purge dead' as const,
        'pause' as const,
        'resume' as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('concurrency' as const),
      most: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

let histories = 0

class History {
  readonly #queue = `history${++histories}`
  readonly #ports: readonly QueuePort[]
  readonly #model: QueueModel
  readonly #leases: string[] = []
  #sent = 0
  #turn = 0

  constructor(ports: readonly QueuePort[], rules: QueueRules) {
    this.#ports = ports
    this.#model = new QueueModel(rules)
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#port().declare([this.#queue], this.#model.rules)
    for (const one of steps) {
      await this.#take(one)
      assert.deepEqual(await this.#port().count(this.#queue), this.#model.count())
    }
    const seen = await this.#port().peek(this.#queue, { limit: 1_000 })
    assert.deepEqual(seen.map(({ id }) => id).sort(), this.#model.ids('ready', 'delayed', 'leased'))
    const dead = await this.#port().deadLetters(this.#queue, { limit: 1_000 })
    assert.deepEqual(dead.map(({ id }) => id).sort(), this.#model.ids('dead'))
  }

  /** Now one handle, now the other. */
  #port(): QueuePort {
    return this.#ports[this.#turn++ % this.#ports.length]!
  }

  /** Mostly one of the newest, which may still mean something. */
  #lease(which: number): string {
    const among = which % 4 === 0 ? this.#leases.length + 1 : 6
    return this.#leases.at(-1 - (which % among)) ?? 'none'
  }

  async #take(one: Step): Promise<void> {
    const [queue, model, port] = [this.#queue, this.#model, this.#port()]
    const { rules } = model
    if (one.kind === 'send') {
      const messages = one.messages.map(
        ({ key, priority, group, dedup, kept, delayed }): Sent => ({
          id: `m${this.#sent++}`,
          key,
          priority: rules.priority ? priority : undefined,
          group: rules.groups ? group : undefined,
          dedup: rules.dedup && dedup ? { key: dedup, forMs: kept ? hourMs : undefined } : undefined,
          delayed: delayed === 0,
        }),
      )
      const outgoing = messages.map(({ delayed, ...rest }) => ({
        ...rest,
        body: '{}',
        delayMs: delayed ? hourMs : undefined,
      }))
      assert.deepEqual(await port.send(queue, outgoing), model.send(messages))
    } else if (one.kind === 'claim') {
      const found = await port.claim(queue, { limit: one.limit, leaseMs: hourMs, waitMs: 0 })
      model.claim(found, one.limit)
      this.#leases.push(...found.map(({ lease }) => lease))
    } else if (one.kind === 'expire') {
      const found = await port.claim(queue, { limit: one.limit, leaseMs: shortMs, waitMs: 0 })
      model.claim(found, one.limit)
      const leases = found.map(({ lease }) => lease)
      this.#leases.push(...leases)
      // While it is held, unless this machine is so slow that it is not any more: then it waits as any other.
      const [first] = found
      const over = pause(shortMs + 20)
      if (one.cancel && first !== undefined) {
        const [result] = await this.#port().cancel(queue, [first.id])
        if (result === 'removed') model.expire(leases)
        assert.equal(result, model.cancel(first.id))
      }
      if (leases.length > 0) await over
      model.expire(leases)
      // By the clock of the engine, which may have been set meanwhile.
      await vi.waitFor(async () => assert.equal((await port.count(queue)).leased, model.count().leased), {
        timeout: 5_000,
      })
    } else if (one.kind === 'settle') {
      const lease = this.#lease(one.which)
      const [result] = await port.settle(queue, [settlement(lease, one.ending)])
      model.settle(lease, one.ending, result!)
    } else if (one.kind === 'extend') {
      const lease = this.#lease(one.which)
      const [result] = await port.extend(queue, [lease], hourMs)
      model.extend(lease, result!)
    } else if (one.kind === 'cancel') {
      const id = `m${one.which % (this.#sent + 1)}`
      assert.deepEqual(await port.cancel(queue, [id]), [model.cancel(id)])
    } else if (one.kind === 'redrive') {
      const dead = await port.deadLetters(queue, { limit: 100 })
      const chosen = dead[one.which % Math.max(dead.length, 1)]
      if (chosen === undefined) return
      assert.equal(await this.#port().redrive(queue, [chosen.handle]), 1)
      model.redrive(chosen.id)
    } else if (one.kind === 'purge waiting' || one.kind === 'purge dead') {
      const what = one.kind === 'purge dead' ? 'dead' : 'waiting'
      assert.equal(await port.purge(queue, what), model.purge(what))
    } else if (one.kind === 'concurrency') {
      // Only where there are rules: without any, messages stand elsewhere, which other tests are about.
      if (Object.keys(rules).every((rule) => rule === 'concurrency')) return
      const { concurrency: _, ...rest } = rules
      await port.declare([queue], one.most === undefined ? rest : { ...rest, concurrency: one.most })
      model.limit(one.most)
    } else {
      await port[one.kind](queue)
      model.paused = one.kind === 'pause'
    }
  }
}

function settlement(lease: string, ending: Ending): Settlement {
  if (ending === 'retry') return { lease, kind: 'retry', delayMs: 0, reason: 'again' }
  if (ending === 'later') return { lease, kind: 'retry', delayMs: hourMs }
  if (ending === 'dead-letter') return { lease, kind: 'dead-letter', reason: 'broken' }
  return { lease, kind: ending }
}

eachEngineAllows(async (engines) => {
  const ports = engines.map((engine) => engine.queue!)
  const steps = fc.array(step, { minLength: 15, maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(someRules, steps, (rules, some) => new History(ports, rules).run(some)),
    { numRuns: 1_000, interruptAfterTimeLimit: 5_000, markInterruptAsFailure: false },
  )
})
