// Hand-made histories: every kind of violation must be seen, and nothing else.
import { expect, test } from 'vitest'
import { type Channel, checkHistory, type History, isClean, type SentMessage } from './history.ts'

const message = (key: string, number: number, sure = true): SentMessage => ({
  id: `${key}-${number}`,
  key,
  number,
  sure,
})

function judge(channel: Partial<Channel>, more: Partial<History> = {}) {
  const whole = { name: 'orders', ordered: true, sent: [], effects: [], ...channel }
  return checkHistory({ rounds: 3, kills: 2, channels: [whole], probes: [], ...more }).verdict
}

const clean = { rounds: 3, kills: 2, lost: 0, duplicated: 0, ghosts: 0, outOfOrder: 0, staleAcksAccepted: 0 }

test('a history without fault is clean', () => {
  const sent = [message('a', 1), message('b', 1), message('a', 2), message('b', 2)]
  const verdict = judge({ sent, effects: ['b-1', 'a-1', 'a-2', 'b-2'] })
  expect(verdict).toEqual({ ...clean, sent: 4, handled: 4 })
  expect(isClean(verdict)).toBe(true)
})

test('an acknowledged message without effect is lost', () => {
  const verdict = judge({ sent: [message('a', 1), message('a', 2)], effects: ['a-2'] })
  expect(verdict).toEqual({ ...clean, sent: 2, handled: 1, lost: 1 })
  expect(isClean(verdict)).toBe(false)
})

test('a message of unknown outcome may be handled or not, but not twice', () => {
  const sent = [message('a', 1, false), message('a', 2, false), message('a', 3)]
  expect(judge({ sent, effects: ['a-1', 'a-3'] })).toEqual({ ...clean, sent: 2, handled: 2 })
  const twice = judge({ sent, effects: ['a-1', 'a-1', 'a-3'] })
  expect(twice).toEqual({ ...clean, sent: 2, handled: 2, duplicated: 1 })
})

test('every effect beyond the first is a duplicate, and no disorder', () => {
  const sent = [message('a', 1), message('a', 2)]
  const verdict = judge({ sent, effects: ['a-1', 'a-2', 'a-1', 'a-1'] })
  expect(verdict).toEqual({ ...clean, sent: 2, handled: 2, duplicated: 2 })
  expect(isClean(verdict)).toBe(false)
})

test('sends of one id are one message, and sure if one of them is', () => {
  const sent = [message('a', 1, false), message('a', 1), message('a', 1, false)]
  expect(judge({ sent, effects: ['a-1'] })).toEqual({ ...clean, sent: 1, handled: 1 })
  expect(judge({ sent, effects: [] })).toEqual({ ...clean, sent: 1, handled: 0, lost: 1 })
})

test('an effect of a message that nobody sent is one too many', () => {
  expect(judge({ sent: [], effects: ['ghost'] })).toEqual({ ...clean, sent: 0, handled: 0, ghosts: 1 })
})

test('an effect after a later one of its key is out of order', () => {
  const sent = [message('a', 1), message('a', 2), message('a', 3), message('b', 1)]
  const verdict = judge({ sent, effects: ['a-2', 'b-1', 'a-1', 'a-3'] })
  expect(verdict).toEqual({ ...clean, sent: 4, handled: 4, outOfOrder: 1 })
  expect(isClean(verdict)).toBe(false)
})

test('a queue keeps no order, and neither does a message of unknown outcome', () => {
  const sent = [message('a', 1), message('a', 2)]
  expect(judge({ ordered: false, sent, effects: ['a-2', 'a-1'] })).toEqual({ ...clean, sent: 2, handled: 2 })
  const unsure = [message('a', 1, false), message('a', 2)]
  expect(judge({ sent: unsure, effects: ['a-2', 'a-1'] })).toEqual({ ...clean, sent: 2, handled: 2 })
})

test('channels are counted together and checked apart', () => {
  const one: Channel = { name: 'one', ordered: true, sent: [message('a', 1)], effects: ['a-1'] }
  const other: Channel = { name: 'other', ordered: true, sent: [message('a', 1)], effects: [] }
  const { verdict, findings } = checkHistory({ rounds: 3, kills: 2, channels: [one, other], probes: [] })
  expect(verdict).toEqual({ ...clean, sent: 2, handled: 1, lost: 1 })
  expect(findings).toEqual([{ kind: 'lost', what: 'other: a-1 had no effect' }])
})

test('a stale settlement that was accepted is counted, a refused one is not', () => {
  const probes = [
    { act: 'settle', accepted: false },
    { act: 'extend', accepted: true },
  ]
  const verdict = judge({}, { probes })
  expect(verdict).toEqual({ ...clean, sent: 0, handled: 0, staleAcksAccepted: 1 })
  expect(isClean(verdict)).toBe(false)
})
