// Who counts as dead: only silence up to a beat of our own that came back.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Link } from './link.ts'
import { Pulse } from './pulse.ts'

const members = ['me', 'other'].map((id) => ({ id, sessionMs: 1_000 }))
let hear: (beat: string) => void
let back: () => void
const echoes: number[] = []

function pulse(): Pulse {
  const link = {
    up: true,
    publish() {},
    subscribe(_subject: string, handle: (message: { string(): string }) => void) {
      hear = (beat) => handle({ string: () => beat })
      return { close() {} }
    },
    listen(listener: { back(): void }) {
      back = () => listener.back()
      return () => {}
    },
  }
  const listener = { newer() {}, echo: (sentAt: number) => echoes.push(sentAt) }
  return new Pulse(link as unknown as Link, 'beats', 'me', 300, listener)
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  echoes.length = 0
})
afterEach(() => void vi.useRealTimers())

test('who was silent for its session is dead, who beats is not', () => {
  const ours = pulse()
  hear('other 1 0')
  vi.advanceTimersByTime(900)
  expect(ours.silent(members, performance.now())).toEqual([])
  hear('other 1 0')
  vi.advanceTimersByTime(900)
  expect(ours.silent(members, performance.now())).toEqual([])
  vi.advanceTimersByTime(200)
  expect(ours.silent(members, performance.now())).toEqual(['other'])
  ours.close()
})

test('a member that stood still itself takes nobody for dead: its last beat was sent before', () => {
  const ours = pulse()
  hear('other 1 0')
  vi.advanceTimersByTime(100)
  const sentAt = performance.now()
  vi.advanceTimersByTime(5_000)
  hear(`me 1 ${sentAt}`)
  expect(echoes).toEqual([sentAt])
  expect(ours.silent(members, echoes[0]!)).toEqual([])
  ours.close()
})

test('what was said while the connection was broken counts as unheard, not as unsaid', () => {
  const ours = pulse()
  hear('other 1 0')
  vi.advanceTimersByTime(5_000)
  back()
  vi.advanceTimersByTime(500)
  expect(ours.silent(members, performance.now())).toEqual([])
  vi.advanceTimersByTime(600)
  expect(ours.silent(members, performance.now())).toEqual(['other'])
  ours.close()
})

test('who was never heard has a session from when we first looked', () => {
  const ours = pulse()
  vi.advanceTimersByTime(5_000)
  expect(ours.silent(members, performance.now())).toEqual([])
  vi.advanceTimersByTime(1_100)
  expect(ours.silent(members, performance.now())).toEqual(['other'])
  ours.close()
})
