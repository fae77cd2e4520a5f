// The verdict of a soak on made-up figures: every kind of growth is found, and what stays as it is is not.
import { expect, test } from 'vitest'
import { judge, type Sample } from './verdict.ts'

const megabyte = 1024 * 1024

function samples(change: (at: number) => Partial<Sample> = () => ({})): Sample[] {
  return Array.from({ length: 30 }, (_, at) => ({
    atMs: at * 1_000,
    sizes: { message: 10 * megabyte, message_ready: 2 * megabyte },
    dead: {},
    backlog: 500,
    claimMs: { plain: [3, 4, 5] },
    idleMs: [1],
    rss: 100 * megabyte,
    heap: 20 * megabyte,
    handled: at * 100,
    ...change(at),
  }))
}

const late = (at: number) => at >= 20

test('what stays as it is, and what grows while it warms up, is well', () => {
  expect(judge(samples())).toEqual({ findings: [], claimP50: { plain: { before: 4, after: 4 } } })
  expect(judge(samples((at) => ({ sizes: { message: Math.min(at, 9) * megabyte } }))).findings).toEqual([])
})

test('what is reached with every open transaction, and no more than that, is well', () => {
  expect(
    judge(samples((at) => ({ sizes: { message: (at % 5 === 0 ? 20 : 10) * megabyte } }))).findings,
  ).toEqual([])
})

test.each<[string, (at: number) => Partial<Sample>, RegExp]>([
  [
    'an index',
    (at) => ({ sizes: { message_ready: at * megabyte } }),
    /message_ready grows: 19\.0 MB, then 29\.0 MB/,
  ],
  [
    'a log that nobody begins anew',
    (at) => ({ sizes: { 'a.db-wal': at * 20 * megabyte } }),
    /a\.db-wal grows: 380\.0 MB, then 580\.0 MB/,
  ],
  ['a table that is made late', (at) => ({ sizes: late(at) ? { more: 5 * megabyte } : {} }), /more grows/],
  ['the memory', (at) => ({ rss: (late(at) ? 200 : 100) * megabyte }), /rss\) grows/],
  ['the heap', (at) => ({ heap: (late(at) ? 60 : 20) * megabyte }), /heap of the client grows/],
  ['the backlog', (at) => ({ backlog: late(at) ? 9_500 : 500 }), /backlog grows: 500 messages, then 9500/],
  [
    'the time of a claim',
    (at) => ({ claimMs: { plain: late(at) ? [9] : [4] } }),
    /claiming from plain.*4\.0 ms, then 9\.0 ms/,
  ],
  ['nothing but the time', () => ({ handled: 7 }), /nothing was handled/],
])('%s that grows is found', (_, change, finding) => {
  const { findings } = judge(samples(change))
  expect(findings).toHaveLength(1)
  expect(findings[0]).toMatch(finding)
})

test('claims that are slower because the machine is are well, and no slower than that', () => {
  const busy = (times: number) => (at: number) => ({
    idleMs: [late(at) ? 3 : 1],
    claimMs: { plain: [late(at) ? times : 4] },
  })
  expect(judge(samples(busy(12))).findings).toEqual([])
  expect(judge(samples(busy(30))).findings).toHaveLength(1)
})

test('a few samples are no verdict', () => {
  expect(judge(samples().slice(0, 5)).findings).toEqual([expect.stringContaining('too few')])
})
