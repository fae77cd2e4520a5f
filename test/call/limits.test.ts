// Limits in front of answered calls: real calls between running contexts, and what the caller makes of a refusal.
import { expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { headers } from '../../src/call/wire.ts'
import { call } from '../../src/core/call-contract.ts'
import { context } from '../../src/core/contract.ts'
import { type LimitedCall, limitCalls } from '../../src/limit/calls.ts'
import type { DoorLimits } from '../../src/limit/http/door/door-limits.ts'
import { limits } from '../../src/limit/limits.ts'
import type { Rules } from '../../src/limit/rule/rule.ts'
import { memory } from '../../src/testing/memory/engine.ts'
import { type RunOptions, run } from '../../src/topology/run.ts'
import { service } from '../../src/topology/service.ts'
import { topology } from '../../src/topology/topology.ts'

const Post = z.object({ user: z.string() })
const posts = context('posts', {
  calls: {
    write: call({ input: Post, output: z.object({ written: z.int() }), deadline: '20s' }),
    count: call({ input: Post, output: z.object({ written: z.int() }), deadline: '20s' }),
  },
})
const tillService = service(context('till', {}))

/** Answers under rules, and a neighbour that calls. */
async function start(rules: Rules, hold?: () => Promise<void>, calling: RunOptions['calls'] = {}) {
  let written = 0
  const bounds = limits({ rules })
  const keys = { user: ({ input }: LimitedCall) => (input as z.infer<typeof Post>).user }
  const answers = service(posts, { limits: limitCalls(bounds, { keys }) })
    .answer(posts.calls.write, async () => {
      await hold?.()
      written += 1
      return { written }
    })
    .answer(posts.calls.count, () => ({ written }))
  const answering = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
  const asking = await run(
    topology({
      contexts: [tillService],
      engine: 'memory:',
      addresses: { posts: [answering.address!] },
    }),
    { engine: memory(), calls: calling },
  )
  onTestFinished(async () => {
    await asking.stop({ deadlineMs: 0 })
    await answering.stop({ deadlineMs: 0 })
  })
  const from = asking.service(tillService)
  const write = (user: string) => from.call(posts.calls.write, { user })
  return { answering, asking, bounds, from, write, written: () => written }
}

test('what is over the limit has failed, with the time to come again, and nothing was done', async () => {
  const { write, written, bounds } = await start({
    posts: { atMost: 2, per: 'minute', by: 'user', on: 'posts.write' },
  })
  expect((await write('ann')).status).toBe('ok')
  expect((await write('ann')).status).toBe('ok')
  const third = await write('ann')
  expect(third).toMatchObject({
    status: 'failed',
    reason: 'error',
    error: { code: 'RATE_LIMITED', retryable: true },
  })
  const retryAfterMs = third.status === 'failed' ? third.error?.details?.retryAfterMs : undefined
  expect(retryAfterMs).toBeGreaterThan(50_000)
  expect(retryAfterMs).toBeLessThanOrEqual(60_000)
  expect((await write('bob')).status).toBe('ok')
  expect(written()).toBe(3)
  // It was not asked again: the time is beyond the deadline.
  expect(bounds.counts()[0]).toMatchObject({ allowed: 3, refused: 1 })
})

test('a time within the deadline is waited for, once', async () => {
  const { write, bounds } = await start({ posts: { atMost: 1, per: 'second', by: 'user' } })
  const answers = [await write('ann'), await write('ann')]
  expect(answers.map(({ status }) => status)).toEqual(['ok', 'ok'])
  expect(bounds.counts()[0]).toMatchObject({ allowed: 2, refused: 1 })
})

test('one user over the limit opens no breaker and leaves no instance out', async () => {
  const { write, asking } = await start({ posts: { atMost: 1, per: 'hour', by: 'user' } })
  expect((await write('ann')).status).toBe('ok')
  for (let round = 0; round < 60; round++) expect((await write('ann')).status).toBe('failed')
  expect(asking.breakers().posts?.state).toBe('closed')
  for (const user of ['bob', 'cat', 'dan']) expect((await write(user)).status).toBe('ok')
})

test('of a batch each input is decided about by itself, and rules name the calls that they are for', async () => {
  const { answering, write } = await start({ counts: { atMost: 2, per: 'hour', by: 'user', on: '*.count' } })
  const response = await fetch(`${answering.address}/calls/posts.count/1?batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(['ann', 'bob', 'ann', 'ann'].map((user) => ({ user }))),
  })
  const elements = (await response.json()) as { status: number; body: { code?: string } }[]
  expect(elements.map(({ status }) => status)).toEqual([200, 200, 200, 429])
  expect(elements[3]?.body.code).toBe('RATE_LIMITED')
  expect((await write('ann')).status).toBe('ok')
})

test('a place is held until the answer is given; who waits in a line is let in then', async () => {
  const ends: (() => void)[] = []
  const { write, bounds } = await start({ one: { atOnce: 1, by: 'user', over: 'wait', line: 1 } }, () => {
    return new Promise((resolve) => ends.push(resolve))
  })
  const first = write('ann')
  await vi.waitFor(() => expect(ends).toHaveLength(1), { timeout: 10_000 })
  const second = write('ann')
  await vi.waitFor(() => expect(bounds.counts()[0]?.waiting).toBe(1), { timeout: 10_000 })
  expect(await write('ann')).toMatchObject({ status: 'failed', error: { code: 'RATE_LIMITED' } })
  expect(ends).toHaveLength(1)
  ends[0]!()
  expect((await first).status).toBe('ok')
  await vi.waitFor(() => expect(ends).toHaveLength(2), { timeout: 10_000 })
  ends[1]!()
  expect((await second).status).toBe('ok')
})

test('a refusal over HTTP is a problem with its time in a header', async () => {
  const { answering } = await start({ all: { atMost: 1, per: 'hour' } })
  const ask = () =>
    fetch(`${answering.address}/calls/posts.count/1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'ann' }),
    })
  expect((await ask()).status).toBe(200)
  const refused = await ask()
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(3_599)
  expect(await refused.json()).toMatchObject({ code: 'RATE_LIMITED', status: 429 })
})

test('a function that throws is an answer that failed, and reveals nothing', async () => {
  const keys = {
    user: () => {
      throw new Error('password=hunter2')
    },
  }
  const answers = service(posts, {
    limits: limitCalls(limits({ rules: { posts: { atMost: 1, per: 'hour', by: 'user' } } }), { keys }),
  })
    .answer(posts.calls.write, () => ({ written: 1 }))
    .answer(posts.calls.count, () => ({ written: 1 }))
  const running = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
  onTestFinished(() => running.stop({ deadlineMs: 0 }))
  const response = await fetch(`${running.address}/calls/posts.count/1`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'ann' }),
  })
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('hunter2')
})

test('what is let in after its caller was told that it was not begun is not begun', async () => {
  const decided = Promise.withResolvers<void>()
  const bounds = limits({ rules: { one: { atOnce: 1 } } })
  // As limits in a store do, which answers late.
  const slow: DoorLimits = {
    decide: (subject) => decided.promise.then(() => bounds.decide(subject)),
    admit: (subject, options) => bounds.admit(subject, options),
    headers: () => [],
  }
  let written = 0
  const answers = service(posts, { limits: limitCalls(slow) })
    .answer(posts.calls.write, () => ({ written: ++written }))
    .answer(posts.calls.count, () => ({ written }))
  const running = await run(topology({ contexts: [answers], engine: 'memory:' }), { engine: memory() })
  onTestFinished(() => running.stop({ deadlineMs: 0 }))
  const ask = (deadlineMs: number) =>
    fetch(`${running.address}/calls/posts.write/1`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', [headers.deadline]: String(deadlineMs) },
      body: JSON.stringify({ user: 'ann' }),
    })
  expect((await ask(50)).status).toBe(503)
  decided.resolve()
  expect((await ask(20_000)).status).toBe(200)
  expect(written).toBe(1)
})
