// Random histories of streams from which records leave, through two handles, on every engine with versions, producers and compaction: by
// trimming, by size and by compaction, beside each other. Each call is compared with the model.
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import type { Retention } from '../../src/ports/retention.ts'
import type { AppendRecord, StreamPort, StreamRecord } from '../../src/ports/stream.ts'
import { eachEngineAllows } from '../random-histories.ts'
import { StreamModel } from './model.ts'

const partitions = 2
const keys = ['a', 'b', 'c', '\u{1f511}']
const few = fc.constantFrom(1, 2, 3, 1_000)

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      records: fc.array(
        fc.record({
          key: fc.option(fc.nat(keys.length - 1), { nil: undefined }),
          partition: fc.nat(partitions - 1),
          expects: fc.constantFrom(undefined, undefined, 0, 0, 1),
          tombstone: fc.nat(4).map((one) => one === 0),
          length: fc.nat(60),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      /** So often: what engines do behind it they do by the number of records. */
      times: fc.constantFrom(1, 1, 1, 20, 60),
      producer: fc.option(fc.record({ id: fc.constantFrom('p', 'q'), further: fc.nat(2) }), {
        nil: undefined,
      }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('trim' as const),
      partition: fc.nat(partitions - 1),
      from: fc.constantFrom<'end' | 'start'>('end', 'start'),
      distance: fc.nat(12),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('retain' as const),
      retention: fc.constantFrom<Retention>(
        { compact: { tombstonesMs: 0 } },
        { compact: { tombstonesMs: 0 } },
        { maxBytes: 2_000 },
        {},
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rest' as const), ms: fc.nat(12) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pages' as const),
      partition: fc.nat(partitions - 1),
      back: fc.nat(200),
      maxRecords: few,
      maxBytes: fc.constantFrom(1, 200, 1 << 20),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('key' as const),
      key: fc.nat(keys.length - 1),
      back: fc.nat(20),
      limit: few,
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

let histories = 0

class History {
  readonly #stream = `history${++histories}`
  readonly #ports: readonly StreamPort[]
  readonly #versions: boolean
  readonly #model: StreamModel
  readonly #sequences = new Map<string, number>()
  #bodies = 0
  #turn = 0

  constructor(ports: readonly StreamPort[], versions: boolean) {
    this.#ports = ports
    this.#versions = versions
    this.#model = new StreamModel(partitions, versions)
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#port().declare({ name: this.#stream, partitions, versions: this.#versions })
    for (const one of steps) {
      await this.#take(one)
      this.#model.bounds(await this.#port().bounds(this.#stream))
      const start = Array.from({ length: partitions }, (_, partition) => ({ partition, position: 0 }))
      const bounds = { maxRecords: 100_000, maxBytes: 1 << 28, waitMs: 0 }
      this.#model.whole(await this.#port().read(this.#stream, start, bounds))
    }
    // Whoever keeps nothing more of it costs the next history nothing.
    await this.#port().declare({ name: this.#stream, partitions, retention: {} })
  }

  /** Now one handle, now the other. */
  #port(): StreamPort {
    return this.#ports[this.#turn++ % this.#ports.length]!
  }

  async #take(one: Step): Promise<void> {
    const [stream, model, port] = [this.#stream, this.#model, this.#port()]
    if (one.kind === 'append') await this.#append(port, one)
    else if (one.kind === 'trim') {
      const place = one.from === 'start' ? one.distance : model.next(one.partition) + 2 - one.distance
      const position = Math.max(0, place)
      await port.trim(stream, [{ partition: one.partition, position }])
      model.trim(one.partition, position)
    } else if (one.kind === 'retain') {
      await port.declare({ name: stream, partitions, retention: one.retention })
      model.retain(one.retention)
    } else if (one.kind === 'rest') await pause(one.ms)
    else if (one.kind === 'pages') {
      const from = Math.max(0, model.next(one.partition) - one.back)
      const found: StreamRecord[] = []
      for (let position = from; ; position = found.at(-1)!.position + 1) {
        const { maxRecords, maxBytes } = one
        const at = [{ partition: one.partition, position }]
        const page = await this.#port().read(stream, at, { maxRecords, maxBytes, waitMs: 0 })
        if (page.length === 0) break
        assert.ok(page.length <= maxRecords)
        found.push(...page)
      }
      model.pages(one.partition, from, found)
    } else if (this.#versions) {
      const key = keys[one.key]!
      const fromVersion = Math.max(1, model.count(key) - one.back)
      model.key(
        key,
        fromVersion,
        one.limit,
        await port.readKey(stream, key, { fromVersion, limit: one.limit }),
      )
    }
  }

  async #append(port: StreamPort, { records, times, producer }: Extract<Step, { kind: 'append' }>) {
    const seen = new Map<string, number>()
    const made = Array.from({ length: times }, () => records)
      .flat()
      .map(({ key, partition, expects, tombstone, length }): AppendRecord => {
        const body = JSON.stringify([this.#bodies++, 'x'.repeat(length)])
        if (key === undefined) return { partition, body }
        const name = keys[key]!
        const count = this.#model.count(name) + (seen.get(name) ?? 0)
        seen.set(name, (seen.get(name) ?? 0) + 1)
        const expectedVersion = expects === undefined || !this.#versions ? undefined : count + expects
        return { partition: key % partitions, key: name, body, tombstone, expectedVersion }
      })
    const last = producer && (this.#sequences.get(producer.id) ?? 0)
    const named = producer && { id: producer.id, sequence: last! + producer.further }
    const expected = this.#model.append(made, named)
    if (named && expected.status === 'appended') this.#sequences.set(named.id, named.sequence)
    assert.deepEqual(await port.append(this.#stream, made, { producer: named }), expected)
  }
}

eachEngineAllows(
  async (engines) => {
    const ports = engines.map((engine) => engine.stream!)
    const steps = fc.array(step, { minLength: 15, maxLength: 50, size: 'max' })
    await fc.assert(
      fc.asyncProperty(fc.boolean(), steps, (versions, some) => new History(ports, versions).run(some)),
      { numRuns: 1_000, interruptAfterTimeLimit: 4_000, markInterruptAsFailure: false },
    )
  },
  { retentionEveryMs: 2 },
)
