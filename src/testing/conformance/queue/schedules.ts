// Schedules: their state changes once from each version, together with what it sends, and stays.
import assert from 'node:assert/strict'
import {
  maxDueSchedules,
  maxSchedules,
  maxSpecBytes,
  type ScheduleChange,
  type StoredSchedule,
} from '../../../ports/queue-schedules.ts'
import { refused } from '../refusal.ts'
import { fresh, numbers, unusualBodies } from '../sample.ts'
import { turns } from '../wait.ts'
import {
  counts,
  ids,
  look,
  messages,
  nothingClaimable,
  type QueueBench,
  type QueueCase,
  queueBench,
  sorted,
  take,
  wakes,
} from './bench.ts'

const longAgo = Date.UTC(2001, 0, 1)
const hour = 3_600_000
/** Later than any case runs. */
const farOff = Date.UTC(2400, 0, 1)

function change(changes: Partial<ScheduleChange> = {}): ScheduleChange {
  return { name: 'nightly', spec: '{"n":1}', due: longAgo, version: undefined, messages: [], ...changes }
}

async function stored(
  { one, queue }: QueueBench,
  changes: Partial<ScheduleChange> = {},
): Promise<StoredSchedule> {
  const wanted = change(changes)
  assert.equal(await one.putSchedule(queue, wanted), 'stored')
  const { schedules } = await one.schedules(queue, 'all')
  const found = schedules.find(({ name }) => name === wanted.name)
  assert.ok(found, 'it is there')
  return found
}

const namesOf = (schedules: readonly StoredSchedule[]) => schedules.map(({ name }) => name)

export const scheduleCases: readonly QueueCase[] = [
  {
    id: 'queue.schedules.list',
    title:
      'all schedules of a queue are told by name, byte for byte, to every handle, and those of no other queue',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const other = fresh('queue')
      await one.declare([other])
      assert.deepEqual((await two.schedules(queue, 'all')).schedules, [])
      const specs = unusualBodies.filter((body) => body !== '')
      const expected = specs.map((spec, index) => ({ name: `S${index}.a-b_c`, spec, due: longAgo + index }))
      for (const each of expected) await stored(bench, { ...each, last: each.due - hour })
      await one.putSchedule(other, change({ name: 'S0.a-b_c' }))
      for (const port of [one, two]) {
        const { schedules } = await port.schedules(queue, 'all')
        assert.deepEqual(namesOf(schedules), sorted(expected.map(({ name }) => name)))
        for (const { name, spec, due } of expected) {
          const found = schedules.find((each) => each.name === name)!
          assert.deepEqual(
            { spec: found.spec, due: found.due, last: found.last },
            { spec, due, last: due - hour },
          )
        }
      }
    },
  },
  {
    id: 'queue.schedules.due',
    title: `what is due is told by the engine's clock, the longest due first and up to ${maxDueSchedules}, with when the next one is`,
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      assert.equal((await two.schedules(queue, 'due')).nextDue, undefined)
      await stored(bench, { name: 'later', due: farOff + 1 })
      await stored(bench, { name: 'far', due: farOff })
      const before = await two.schedules(queue, 'due')
      assert.deepEqual(before.schedules, [])
      assert.equal(before.nextDue, farOff)
      const { now } = await one.schedules(queue, 'all')
      await stored(bench, { name: 'now', due: now })
      await stored(bench, { name: 'ago', due: longAgo + 5 })
      await stored(bench, { name: 'longer', due: longAgo })
      const { schedules, nextDue, now: after } = await two.schedules(queue, 'due')
      assert.deepEqual(namesOf(schedules), ['longer', 'ago', 'now'])
      assert.equal(nextDue, farOff)
      assert.ok(after >= now, 'the clock goes on')
      await stored(bench, { name: 'soon', due: after + hour })
      assert.equal((await two.schedules(queue, 'due')).nextDue, after + hour)
      await Promise.all(
        numbers(maxDueSchedules).map((index) => one.putSchedule(queue, change({ name: `n${index}` }))),
      )
      assert.equal((await one.schedules(queue, 'due')).schedules.length, maxDueSchedules)
    },
  },
  {
    id: 'queue.schedules.named',
    title: 'one schedule is told by its name, whether it is due or not, also while the queue is paused',
    requires: ['queue.schedules', 'queue.pause'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const far = await stored(bench, { name: 'far', due: farOff })
      const ago = await stored(bench, { name: 'ago' })
      for (const paused of [false, true]) {
        if (paused) await two.pause(queue)
        assert.deepEqual((await one.schedules(queue, { name: 'far' })).schedules, [far])
        assert.deepEqual((await two.schedules(queue, { name: 'ago' })).schedules, [ago])
        assert.deepEqual((await two.schedules(queue, { name: 'fa' })).schedules, [])
      }
    },
  },
  {
    id: 'queue.schedules.besides',
    title:
      'of what is due the states that somebody cannot fire are left out, so that he comes to those that stand behind them',
    requires: ['queue.schedules', 'queue.pause'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await Promise.all(
        numbers(maxDueSchedules).map((index) => one.putSchedule(queue, change({ name: `n${index}` }))),
      )
      const next = await stored(bench, { name: 'next', due: longAgo + 1 })
      await stored(bench, { name: 'far', due: farOff })
      const first = (await two.schedules(queue, 'due')).schedules
      assert.ok(!namesOf(first).includes('next'))
      const dueBesides = first.map(({ version }) => version)
      const others = await two.schedules(queue, { dueBesides })
      assert.deepEqual([others.schedules, others.nextDue], [[next], farOff])
      // Another state of it may be one that can be fired.
      const { name, version } = first[7]!
      await stored(bench, { name, version })
      assert.deepEqual(namesOf((await one.schedules(queue, { dueBesides })).schedules), [name, 'next'])
      await two.pause(queue)
      assert.deepEqual((await one.schedules(queue, { dueBesides })).schedules, [])
    },
  },
  {
    id: 'queue.schedules.paused',
    title: 'while a queue is paused nothing of it is due',
    requires: ['queue.schedules', 'queue.pause'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await stored(bench)
      await stored(bench, { name: 'far', due: farOff })
      await two.pause(queue)
      const { schedules, nextDue } = await one.schedules(queue, 'due')
      assert.deepEqual([schedules, nextDue], [[], undefined])
      assert.equal((await one.schedules(queue, 'all')).schedules.length, 2)
      await two.resume(queue)
      assert.deepEqual(namesOf((await one.schedules(queue, 'due')).schedules), ['nightly'])
    },
  },
  {
    id: 'queue.schedules.first',
    title: 'a schedule without a version is stored when there is none of its name, and is stale else',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const made = await stored(bench, { messages: messages(1, 'a') })
      for (const port of [one, two])
        assert.equal(
          await port.putSchedule(queue, change({ spec: 'another', messages: messages(1, 'b') })),
          'stale',
        )
      assert.equal(
        await two.putSchedule(queue, change({ name: 'missing', version: made.version })),
        'stale',
        'there is none',
      )
      assert.deepEqual((await two.schedules(queue, 'all')).schedules, [made])
      assert.deepEqual(ids(await take(two, queue, 1)), ['a0'])
      await nothingClaimable(one, queue, 'what was stale sent nothing')
    },
  },
  {
    id: 'queue.schedules.version',
    title:
      'a schedule is changed from each of its states once: whoever saw another one is stale, and sends nothing',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const { version } = await stored(bench)
      const moved = change({ due: longAgo + hour, last: longAgo, version, messages: messages(1, 'a') })
      assert.equal(await two.putSchedule(queue, moved), 'stored')
      assert.equal(await one.putSchedule(queue, { ...moved, messages: messages(1, 'b') }), 'stale')
      const { schedules } = await one.schedules(queue, 'all')
      assert.deepEqual(
        schedules.map(({ due, last }) => [due, last]),
        [[longAgo + hour, longAgo]],
      )
      assert.notEqual(schedules[0]!.version, version)
      assert.deepEqual(ids(await take(one, queue, 1)), ['a0'])
      await nothingClaimable(two, queue, 'what was stale sent nothing')
    },
  },
  {
    id: 'queue.schedules.last',
    title: 'what fired last is kept by a change that does not say it',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { version } = await stored(bench, { last: longAgo - hour })
      const changed = await stored(bench, { spec: 'another', due: longAgo + 1, version })
      assert.deepEqual(
        { last: changed.last, spec: changed.spec, due: changed.due },
        { last: longAgo - hour, spec: 'another', due: longAgo + 1 },
      )
    },
  },
  {
    id: 'queue.schedules.forward',
    title: 'a due time never goes back to one that fired: INVALID_OPTION, and nothing is sent or changed',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const known = await stored(bench, { last: longAgo - hour })
      const { version } = known
      for (const [due, last] of [
        [longAgo - hour, undefined],
        [longAgo - 2 * hour, undefined],
        [longAgo, longAgo],
        [Number.NaN, undefined],
        [longAgo + 0.5, undefined],
        [-1, undefined],
        [farOff, longAgo + 0.5],
      ] as const)
        await refused(
          'INVALID_OPTION',
          () => two.putSchedule(queue, change({ due, last, version, messages: messages(1) })),
          `due ${due} after ${last}`,
        )
      assert.deepEqual((await one.schedules(queue, 'all')).schedules, [known])
      await nothingClaimable(one, queue, 'nothing was sent')
    },
  },
  {
    id: 'queue.schedules.race',
    title: 'of many processes that fire a due time one does, and its messages are there once',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      await stored(bench)
      const rounds = 6
      for (const round of numbers(rounds)) {
        const { schedules } = await one.schedules(queue, 'due')
        const { due, version } = schedules[0]!
        const fired = await Promise.all(
          numbers(12).map(async (racer) => {
            await turns(racer % 4)
            const port = racer % 2 === 0 ? one : two
            const sent = messages(2, `${round}-${racer}-`)
            return port.putSchedule(queue, change({ due: due + hour, last: due, version, messages: sent }))
          }),
        )
        assert.equal(fired.filter((result) => result === 'stored').length, 1, 'one of them fires it')
        const [a, b] = ids(await take(two, queue, 2))
        assert.equal(a!.slice(0, -1), b!.slice(0, -1), 'both are from the one who did')
      }
      await nothingClaimable(one, queue, 'the others sent nothing')
      const { schedules } = await two.schedules(queue, 'all')
      assert.equal(schedules[0]!.due, longAgo + rounds * hour)
    },
  },
  {
    id: 'queue.schedules.first.race',
    title: 'of many processes that make a schedule one does',
    requires: ['queue.schedules'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const results = await Promise.all(
        numbers(10).map((racer) =>
          (racer % 2 === 0 ? one : two).putSchedule(queue, change({ messages: messages(1, `${racer}-`) })),
        ),
      )
      assert.equal(results.filter((result) => result === 'stored').length, 1)
      await take(two, queue, 1)
      await nothingClaimable(one, queue, 'the others sent nothing')
    },
  },
  {
    id: 'queue.schedules.atomic',
    title: 'when what it sends is refused, the schedule stays as it was, and nothing is sent',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const known = await stored(bench)
      const { version } = known
      const large = 'x'.repeat(one.limits.maxBodyBytes + 1)
      const moved = change({ due: longAgo + hour, last: longAgo, version })
      await refused(['TOO_LARGE'], () =>
        two.putSchedule(queue, { ...moved, messages: [...messages(2), { id: 'large', body: large }] }),
      )
      await refused(['INVALID_OPTION'], () =>
        two.putSchedule(queue, {
          ...moved,
          messages: [...messages(2), { id: 'p', body: '{}', priority: 1 }],
        }),
      )
      await refused(['INVALID_OPTION'], () =>
        two.putSchedule(queue, {
          ...change({ name: 'another' }),
          messages: [{ id: 'p', body: '{}', priority: 1 }],
        }),
      )
      assert.deepEqual((await one.schedules(queue, 'all')).schedules, [known])
      await nothingClaimable(one, queue, 'nothing was sent')
    },
  },
  {
    id: 'queue.schedules.sends',
    title: 'what it sends wakes a waiting claim of another process, whole and in order',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const { version } = await stored(bench)
      const sent = messages(3).map((message) => ({ ...message, key: 'k' }))
      const found = await wakes(two, queue, () =>
        one.putSchedule(queue, change({ due: longAgo + hour, last: longAgo, version, messages: sent })),
      )
      const all = [...found, ...(await look(two, queue))]
      assert.deepEqual(
        all.map(({ id, key, body }) => ({ id, key, body })),
        sent,
      )
    },
  },
  {
    id: 'queue.schedules.rules',
    title:
      'what it sends stands under the rules of the queue: a duplicate is not stored, and the due time moves on',
    requires: ['queue.schedules', 'queue.dedup', 'queue.priority'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const first = await stored(bench)
      // The other handle may know the queue as it was.
      await two.schedules(queue, 'all')
      await one.declare([queue], { dedup: true, priority: true })
      const sends = (id: string, priority: number) => [
        { id, body: '{}', priority, dedup: { key: `key ${priority}` } },
      ]
      const moved = { due: longAgo + hour, last: longAgo, version: first.version, messages: sends('a', 1) }
      assert.equal(await two.putSchedule(queue, change(moved)), 'stored')
      const second = await stored(bench, { name: 'second', messages: sends('b', 2) })
      const again = {
        ...second,
        due: second.due + hour,
        last: second.due,
        messages: [...sends('c', 2), ...sends('d', 3)],
      }
      assert.equal(await two.putSchedule(queue, again), 'stored')
      assert.equal(
        (await one.schedules(queue, 'all')).schedules.find(({ name }) => name === 'second')!.due,
        again.due,
      )
      assert.deepEqual(ids(await take(one, queue, 3)), ['d', 'b', 'a'])
      await nothingClaimable(two, queue, 'the duplicate was not stored')
    },
  },
  {
    id: 'queue.schedules.remove',
    title:
      'a schedule that was removed is gone for every handle, what it sent stays, and none of its states comes back',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const first = await stored(bench, { messages: messages(1) })
      await stored(bench, { name: 'other' })
      assert.equal(await two.removeSchedule(queue, 'nightly'), true)
      assert.equal(await one.removeSchedule(queue, 'nightly'), false)
      assert.deepEqual(namesOf((await one.schedules(queue, 'all')).schedules), ['other'])
      const fires = change({ due: longAgo + hour, version: first.version, messages: messages(1, 'late') })
      assert.equal(await one.putSchedule(queue, fires), 'stale', 'it is gone')
      const again = await stored(bench)
      assert.notEqual(again.version, first.version)
      assert.equal(await two.putSchedule(queue, fires), 'stale', 'it is another one')
      assert.deepEqual(ids(await take(one, queue, 1)), ['m0'])
      await nothingClaimable(one, queue, 'what was stale sent nothing')
    },
  },
  {
    id: 'queue.schedules.remove.race',
    title: 'a schedule that is removed while it fires has fired before, or not at all',
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      for (const round of numbers(8)) {
        const { version } = await stored(bench, { name: `n${round}` })
        const fires = change({ name: `n${round}`, due: farOff, version, messages: messages(1, `${round}-`) })
        const [fired, removed] = await Promise.all([
          turns(round % 3).then(() => one.putSchedule(queue, fires)),
          turns(round % 2).then(() => two.removeSchedule(queue, fires.name)),
        ])
        assert.equal(removed, true, 'it was there')
        assert.deepEqual(ids(await look(one, queue)), fired === 'stored' ? [`${round}-0`] : [])
        assert.deepEqual((await two.schedules(queue, 'all')).schedules, [], 'it does not come back')
      }
    },
  },
  {
    id: 'queue.schedules.stays',
    title: 'schedules stay over restarts, over declaring the queue again, and over purging it',
    requires: ['queue.schedules', 'queue.purge', 'shared storage'],
    async run(subject) {
      const { queue, two } = await queueBench(subject)
      const making = await subject.access.openEngine()
      await making.queue!.putSchedule(queue, change({ due: farOff, last: longAgo }))
      const { schedules } = await making.queue!.schedules(queue, 'all')
      await making.close()
      const later = await subject.access.openEngine()
      try {
        await later.queue!.declare([queue], {})
        await later.queue!.purge(queue, 'waiting')
        for (const port of [later.queue!, two])
          assert.deepEqual((await port.schedules(queue, 'all')).schedules, schedules)
      } finally {
        await later.close()
      }
    },
  },
  {
    id: 'queue.schedules.bounds',
    title: `a queue takes ${maxSchedules} schedules (BACKLOG_FULL), of up to ${maxSpecBytes} bytes each (TOO_LARGE)`,
    requires: ['queue.schedules'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const spec = 'é'.repeat(maxSpecBytes / 2)
      await refused('TOO_LARGE', () => two.putSchedule(queue, change({ spec: `${spec}x` })))
      const { version } = await stored(bench, { spec })
      for (let made = 1; made < maxSchedules; made += 37)
        await Promise.all(
          numbers(Math.min(37, maxSchedules - made)).map((index) =>
            one.putSchedule(queue, change({ name: `n${made + index}` })),
          ),
        )
      await refused('BACKLOG_FULL', () =>
        two.putSchedule(queue, change({ name: 'last', messages: messages(1) })),
      )
      assert.equal((await one.schedules(queue, 'all')).schedules.length, maxSchedules)
      await stored(bench, { version, due: farOff })
      await counts(one, queue, {})
    },
  },
]
