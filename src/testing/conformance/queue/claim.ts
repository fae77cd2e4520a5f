// Claiming: how many, when it resolves, and what wakes it up.
import assert from 'node:assert/strict'
import type { ClaimedMessage } from '../../../ports/queue.ts'
import { numbers } from '../sample.ts'
import { notBefore, pass, soonMs, timed, turns, within } from '../wait.ts'
import {
  counts,
  ids,
  kill,
  longMs,
  messages,
  nothingClaimable,
  type QueueBench,
  type QueueCase,
  queueBench,
  sorted,
  take,
  takeOne,
  wakes,
} from './bench.ts'

const patientMs = 4 * soonMs

async function claimedHere(bench: QueueBench): Promise<ClaimedMessage> {
  await bench.one.send(bench.queue, messages(1))
  return takeOne(bench.one, bench.queue)
}

export const claimCases: readonly QueueCase[] = [
  {
    id: 'queue.claim.limit',
    title: 'claim leases up to limit messages, with what there is when there are fewer',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(5))
      const claim = { leaseMs: longMs, waitMs: patientMs }
      const first = await two.claim(queue, { ...claim, limit: 3 })
      assert.ok(first.length >= 1 && first.length <= 3, `${first.length} of at most 3`)
      const rest = await timed(() => take(one, queue, 5 - first.length))
      assert.ok(rest.ms < soonMs)
      await one.send(queue, messages(2, 'n'))
      const { value, ms } = await timed(() => two.claim(queue, { ...claim, limit: 10 }))
      assert.ok(value.length >= 1 && value.length <= 2)
      assert.ok(ms < soonMs, `it does not wait for ten: ${ms} ms`)
    },
  },
  {
    id: 'queue.claim.starts',
    title: 'a claim counts a start for each message; the first is 1',
    requires: ['queue'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(3))
      const found = await take(one, queue, 3)
      assert.deepEqual(
        found.map(({ starts }) => starts),
        [1, 1, 1],
      )
      for (const { fencingToken } of found) assert.ok(Number.isSafeInteger(fencingToken))
    },
  },
  {
    id: 'queue.claim.looks-once',
    title: 'waitMs 0 looks once',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const { value, ms } = await timed(() => one.claim(queue, { limit: 5, leaseMs: longMs, waitMs: 0 }))
      assert.deepEqual(value, [])
      assert.ok(ms < soonMs)
      await two.send(queue, messages(2))
      const found = await one.claim(queue, { limit: 5, leaseMs: longMs, waitMs: 0 })
      assert.notEqual(found.length, 0, 'what was sent before is found by looking once')
    },
  },
  {
    id: 'queue.claim.waits',
    title: 'claim resolves with an empty array after waitMs, and not before',
    requires: ['queue'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      const { value, ms } = await timed(() => one.claim(queue, { limit: 5, leaseMs: longMs, waitMs: 300 }))
      assert.deepEqual(value, [])
      notBefore(ms, 300, 'resolved')
      assert.ok(ms < 300 + soonMs, `it took ${ms} ms`)
    },
  },
  {
    id: 'queue.claim.wakes.send',
    title: 'a waiting claim resolves as soon as a message is sent, by its own process or another',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      assert.deepEqual(ids(await wakes(one, queue, () => one.send(queue, messages(1, 'own')))), ['own0'])
      assert.deepEqual(ids(await wakes(one, queue, () => two.send(queue, messages(1, 'other')))), ['other0'])
    },
  },
  {
    id: 'queue.claim.wakes.release',
    title: 'a waiting claim resolves as soon as another process gives a message back',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const { lease } = await claimedHere(bench)
      const found = await wakes(two, queue, () => one.settle(queue, [{ lease, kind: 'release' }]))
      assert.deepEqual(ids(found), ['m0'])
    },
  },
  {
    id: 'queue.claim.wakes.retry',
    title: 'a waiting claim resolves as soon as a retry is due',
    requires: ['queue'],
    async run(subject) {
      const bench = await queueBench(subject)
      const { queue, one, two } = bench
      const { lease } = await claimedHere(bench)
      const start = performance.now()
      const found = await wakes(two, queue, () => one.settle(queue, [{ lease, kind: 'retry', delayMs: 300 }]))
      assert.deepEqual(ids(found), ['m0'])
      notBefore(performance.now() - start, 300, 'claimed again')
    },
  },
  {
    id: 'queue.claim.wakes.expiry',
    title: 'a waiting claim resolves as soon as the lease of another process ends without a settlement',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two, shortMs } = await queueBench(subject)
      await one.send(queue, messages(1))
      await takeOne(one, queue, shortMs)
      const waiting = two.claim(queue, { limit: 1, leaseMs: longMs, waitMs: shortMs + patientMs })
      assert.deepEqual(ids(await within(shortMs + soonMs, 'the waiting claim', waiting)), ['m0'])
    },
  },
  {
    id: 'queue.claim.wakes.redrive',
    title: 'a waiting claim resolves as soon as a dead letter is redriven',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      await one.send(queue, messages(1))
      await kill(one, queue, 'broken')
      const [dead] = await one.deadLetters(queue, { limit: 1 })
      assert.deepEqual(ids(await wakes(two, queue, () => one.redrive(queue, [dead!.handle]))), ['m0'])
    },
  },
  {
    id: 'queue.claim.wakes.each',
    title:
      'several waiting claims share what is sent; none resolves empty before its time because another was faster',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const options = { limit: 1, leaseMs: longMs, waitMs: 1_500 }
      const claims = numbers(6).map((index) => timed(() => (index % 2 ? one : two).claim(queue, options)))
      await pass(100)
      await one.send(queue, messages(2))
      await two.send(queue, messages(2, 'n'))
      const results = await Promise.all(claims)
      assert.deepEqual(sorted(results.flatMap(({ value }) => ids(value))), ['m0', 'm1', 'n0', 'n1'])
      for (const { value, ms } of results) if (value.length === 0) notBefore(ms, 1_500, 'an empty claim')
    },
  },
  {
    id: 'queue.claim.signal',
    title:
      'a waiting claim resolves with an empty array when its signal fires, also when it had fired before',
    requires: ['queue'],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      const abort = new AbortController()
      const waiting = one.claim(queue, { limit: 1, leaseMs: longMs, waitMs: patientMs, signal: abort.signal })
      await pass(50)
      abort.abort()
      assert.deepEqual(await within(soonMs, 'the aborted claim', waiting), [])
      const again = one.claim(queue, { limit: 1, leaseMs: longMs, waitMs: patientMs, signal: abort.signal })
      assert.deepEqual(await within(soonMs, 'the claim of a fired signal', again), [])
    },
  },
  {
    id: 'queue.claim.signal.loses-nothing',
    title: 'messages leased when the signal fires are returned or given back, never lost to the caller',
    requires: ['queue'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const got: string[] = []
      const rounds = 25
      for (const round of numbers(rounds)) {
        const abort = new AbortController()
        const options = { limit: 4, leaseMs: longMs, waitMs: patientMs, signal: abort.signal }
        const [claimed] = await Promise.all([
          within(soonMs, 'the aborted claim', (round % 2 ? one : two).claim(queue, options)),
          one.send(queue, messages(2, `r${round}-`)),
          turns(round).then(() => abort.abort()),
        ])
        got.push(...ids(claimed))
      }
      assert.equal(new Set(got).size, got.length, 'none twice')
      const rest = await take(two, queue, 2 * rounds - got.length)
      for (const { id, starts } of rest) assert.equal(starts, 1, `the start of ${id} was not counted`)
      assert.equal(new Set([...got, ...ids(rest)]).size, 2 * rounds)
    },
  },
  {
    id: 'queue.claim.close.loses-nothing',
    title: 'a waiting claim resolves at close; messages leased by then are returned or given back',
    requires: ['queue', 'shared storage'],
    async run(subject) {
      const { queue, one, two } = await queueBench(subject)
      const got: string[] = []
      const rounds = 4
      for (const round of numbers(rounds)) {
        const engine = await subject.access.openEngine()
        const claims = numbers(3).map(() =>
          engine.queue!.claim(queue, { limit: 2, leaseMs: longMs, waitMs: patientMs }),
        )
        const sending = one.send(queue, messages(4, `r${round}-`))
        await turns(3 * round)
        await within(2 * soonMs, 'close', engine.close())
        for (const claim of claims) got.push(...ids(await within(soonMs, 'a claim at close', claim)))
        await sending
      }
      assert.equal(new Set(got).size, got.length, 'none twice')
      const rest = await take(two, queue, 4 * rounds - got.length)
      assert.equal(new Set([...got, ...ids(rest)]).size, 4 * rounds)
      await counts(one, queue, { leased: 4 * rounds })
      await nothingClaimable(one, queue, 'all are leased')
    },
  },
]
