// The conformance suite of the engine itself: what it says about itself, and closing it.
import assert from 'node:assert/strict'
import { capabilityTable, fencedByEffects, portTable } from '../../ports/capability.ts'
import type { Engine } from '../../ports/engine.ts'
import type { ConformanceCase } from './case.ts'
import { refused } from './refusal.ts'
import { fresh } from './sample.ts'
import type { EngineSubject } from './subject.ts'
import { pass, soonMs, within } from './wait.ts'

type EngineCase = ConformanceCase<EngineSubject>

export const engineSuite: readonly EngineCase[] = [
  {
    id: 'engine.name',
    title: 'an engine has a name, and a url without secrets; every handle says the same',
    requires: [],
    async run({ one, two }) {
      assert.match(one.name, /^[a-z][a-z0-9-]*$/)
      assert.equal(two.name, one.name)
      assert.ok(one.url.length > 0)
      assert.doesNotMatch(one.url, /\/\/[^/@]*:[^/@]+@/, 'the url carries no password')
    },
  },
  {
    id: 'engine.capabilities',
    title: 'the ports and flags of an engine are those of the capability table',
    requires: [],
    async run({ one }) {
      assert.ok(one.queue || one.stream || one.limit, 'an engine carries at least one port')
      // An engine of a third party is not in the table; its flags are checked by the cases that require them.
      if (Object.values(portTable).some((engines) => (engines as readonly string[]).includes(one.name)))
        for (const name of ['queue', 'stream', 'limit'] as const) {
          const owners: readonly string[] = portTable[name]
          assert.equal(one[name] !== undefined, owners.includes(one.name), `portTable.${name}`)
        }
      for (const name of ['queue', 'stream'] as const) {
        const port = one[name]
        const listed: readonly string[] = portTable[name]
        if (port === undefined) continue
        assert.ok(['engine', 'effects'].includes(port.capabilities.fencing))
        const byEffects: readonly string[] = fencedByEffects[name]
        if (listed.includes(one.name))
          assert.equal(
            port.capabilities.fencing === 'effects',
            byEffects.includes(one.name),
            `${name}.fencing`,
          )
        const flags = port.capabilities as unknown as Readonly<Record<string, unknown>>
        for (const [flag, { engines }] of Object.entries(capabilityTable[name])) {
          assert.equal(typeof flags[flag], 'boolean', `${name}.${flag}`)
          if (listed.includes(one.name))
            assert.equal(flags[flag], (engines as readonly string[]).includes(one.name), `${name}.${flag}`)
        }
      }
    },
  },
  {
    id: 'engine.durability',
    title: 'durability tells the level that was found, how, and each weakness in words',
    requires: [],
    async run({ one }) {
      const { level, statement, weaknesses } = one.durability
      assert.ok(['power-loss', 'process', 'none'].includes(level))
      assert.ok(statement.length > 10, 'the statement is a sentence for people')
      for (const weakness of weaknesses) assert.ok(weakness.length > 10, 'a weakness is told in words')
      if (level === 'power-loss') assert.deepEqual(weaknesses, [], 'nothing weakens the full promise')
    },
  },
  {
    id: 'engine.strict',
    title: 'strict refuses to open (DURABILITY) exactly when the level is not power-loss',
    requires: [],
    async run({ one, access }) {
      if (one.durability.level === 'power-loss') {
        const engine = await access.openEngine({ strict: true })
        await engine.close()
      } else {
        const opened: Engine[] = []
        const open = async () => opened.push(await access.openEngine({ strict: true }))
        await refused('DURABILITY', open, 'opening').finally(() =>
          Promise.all(opened.map((each) => each.close())),
        )
      }
    },
  },
  {
    id: 'engine.close',
    title: 'close is idempotent, also while it is under way, and leaves other handles alone',
    requires: [],
    async run({ one, access }) {
      const engine = await access.openEngine()
      await within(2 * soonMs, 'close', Promise.all([engine.close(), engine.close()]))
      await within(soonMs, 'close again', engine.close())
      if (one.queue) await one.queue.declare([fresh('queue')])
      if (one.stream) await one.stream.declare({ name: fresh('stream'), partitions: 1 })
    },
  },
  {
    id: 'engine.close.queue',
    title: 'close ends waiting claims with nothing; later calls of the queue reject with CLOSED',
    requires: ['queue'],
    async run({ access }) {
      const engine = await access.openEngine()
      const port = engine.queue!
      const queue = fresh('queue')
      await port.declare([queue])
      const waiting = port.claim(queue, { limit: 1, leaseMs: 10_000, waitMs: 60_000 })
      await pass(50)
      await within(2 * soonMs, 'close', engine.close())
      assert.deepEqual(await within(soonMs, 'the waiting claim', waiting), [])
      const body = '{}'
      await refused('CLOSED', () => port.declare([queue]), 'declare')
      await refused('CLOSED', () => port.send(queue, [{ id: 'late', body }]), 'send')
      await refused('CLOSED', () => port.claim(queue, { limit: 1, leaseMs: 10_000, waitMs: 0 }), 'claim')
      await refused('CLOSED', () => port.settle(queue, [{ lease: '1', kind: 'done' }]), 'settle')
      await refused('CLOSED', () => port.extend(queue, ['1'], 10_000), 'extend')
      await refused('CLOSED', () => port.count(queue), 'count')
      await refused('CLOSED', () => port.deadLetters(queue, { limit: 1 }), 'deadLetters')
      await refused('CLOSED', () => port.redrive(queue, ['1']), 'redrive')
      await refused('CLOSED', () => port.names(), 'names')
    },
  },
  {
    id: 'engine.close.stream',
    title: 'close ends waiting reads with nothing; later calls of the stream reject with CLOSED',
    requires: ['stream'],
    async run({ access }) {
      const engine = await access.openEngine()
      const port = engine.stream!
      const stream = fresh('stream')
      await port.declare({ name: stream, partitions: 1 })
      const from = [{ partition: 0, position: 0 }]
      const options = { maxRecords: 1, maxBytes: 1_000, waitMs: 60_000 }
      const waiting = port.read(stream, from, options)
      await pass(50)
      await within(2 * soonMs, 'close', engine.close())
      assert.deepEqual(await within(soonMs, 'the waiting read', waiting), [])
      const member = { sessionMs: 60_000, assigned() {}, async revoked() {}, failed() {} }
      await refused('CLOSED', () => port.declare({ name: stream, partitions: 1 }), 'declare')
      await refused('CLOSED', () => port.append(stream, [{ partition: 0, body: '{}' }]), 'append')
      await refused('CLOSED', () => port.read(stream, from, { ...options, waitMs: 0 }), 'read')
      await refused('CLOSED', () => port.bounds(stream), 'bounds')
      await refused('CLOSED', () => port.positionsAt(stream, 0), 'positionsAt')
      await refused('CLOSED', () => port.join(stream, 'late', member), 'join')
      await refused('CLOSED', () => port.committed(stream, 'late'), 'committed')
      await refused('CLOSED', () => port.names(), 'names')
      await refused('CLOSED', () => port.groups(stream), 'groups')
    },
  },
  {
    id: 'engine.close.join',
    title: 'a join that is under way when its engine closes ends: it resolves, or rejects with CLOSED',
    requires: ['stream', 'shared storage'],
    async run({ one, two, access }) {
      const engine = await access.openEngine()
      const [stream, group] = [fresh('stream'), fresh('group')]
      await one.stream!.declare({ name: stream, partitions: 2 })
      const [held, giving, given] = [0, 0, 0].map(() => Promise.withResolvers<void>())
      const sessionMs = Math.max(10_000, one.stream!.limits.minSessionMs)
      const member = { sessionMs, assigned() {}, async revoked() {}, failed() {} }
      const holder = await one.stream!.join(stream, group, {
        ...member,
        assigned: () => held!.resolve(),
        async revoked() {
          giving!.resolve()
          await given!.promise
        },
      })
      const members = [holder]
      try {
        await within(3 * soonMs, 'the assignment', held!.promise)
        members.push(await within(3 * soonMs, 'a second join', two.stream!.join(stream, group, member)))
        await within(3 * soonMs, 'the revocation', giving!.promise)
        // The group is being reordered, and whoever joins may have to wait for that.
        const joining = engine.stream!.join(stream, group, member).catch((error: unknown) => error)
        await pass(200)
        await within(2 * soonMs, 'close', engine.close())
        const ended = await within(soonMs, 'the join', joining)
        if (ended instanceof Error) await refused('CLOSED', () => Promise.reject(ended), 'join')
      } finally {
        given!.resolve()
        await Promise.all(members.map((each) => each.leave()))
        await engine.close()
      }
    },
  },
  {
    id: 'engine.close.flushes',
    title: 'close flushes what was accepted: what resolved before or during it is there for others',
    requires: ['queue', 'shared storage'],
    async run({ one, access }) {
      const engine = await access.openEngine()
      const queue = fresh('queue')
      await one.queue!.declare([queue])
      const sends = ['a', 'b', 'c'].map((id) => engine.queue!.send(queue, [{ id, body: '{}' }]))
      const first = await Promise.race(sends.map((send, index) => send.then(() => index)))
      await within(2 * soonMs, 'close', engine.close())
      const kept = (await Promise.allSettled(sends)).filter(({ status }) => status === 'fulfilled').length
      assert.ok(first >= 0 && kept >= 1)
      const found = await one.queue!.claim(queue, { limit: 10, leaseMs: 10_000, waitMs: 0 })
      assert.ok(found.length >= kept, `${found.length} of ${kept} that resolved`)
    },
  },
]
