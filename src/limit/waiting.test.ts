// Waiting in line: first come, first served, bounded in number and in time, never more than the rule allows.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { fakeClock } from '../testing/fake-clock.ts'
import type { Decision } from './decision.ts'
import { limits } from './limits.ts'
import type { Rules } from './rule/rule.ts'
import type { Subject } from './subject.ts'

function start(rules: Rules) {
  const clock = fakeClock()
  const gate = limits({ rules, clock })
  const began = clock.elapsed()
  const log: string[] = []
  const ask = (name: string, subject: Subject = {}, signal?: AbortSignal): Promise<Decision> =>
    gate.admit(subject, { signal }).then((decision) => {
      log.push(`${name} ${decision.reason ?? decision.outcome} ${clock.elapsed() - began}`)
      return decision
    })
  return { clock, gate, log, ask }
}

describe('a pace', () => {
  test('each goes when its turn comes, in order, and no sooner', async () => {
    const { clock, gate, log, ask } = start({ mails: { pace: 10, per: 'second', line: 3 } })
    for (const name of ['a', 'b', 'c', 'd', 'e']) ask(name)
    await clock.advance(50)
    expect(log).toEqual(['a allow 0', 'e line 0'])
    expect(gate.counts()[0]).toMatchObject({ waiting: 3 })
    await clock.advance('1s')
    expect(log.slice(2)).toEqual(['b allow 100', 'c allow 200', 'd allow 300'])
    expect([gate.counts()[0]!.waiting, clock.timers]).toEqual([0, 0])
    // Nobody saves turns up.
    ask('f')
    ask('g')
    await clock.advance('1s')
    expect(log.slice(5)).toEqual(['f allow 1050', 'g allow 1150'])
  })

  test('nobody overtakes the line, and who gives up leaves his turn to the next', async () => {
    const { clock, gate, log, ask } = start({ mails: { pace: 10, per: 'second' } })
    const giving = new AbortController()
    ask('a')
    ask('b')
    ask('c', {}, giving.signal)
    ask('d')
    await clock.advance(100)
    expect(gate.decide({}).outcome).toBe('wait')
    giving.abort()
    await clock.advance(100)
    expect(log).toEqual(['a allow 0', 'b allow 100', 'c cancelled 100', 'd allow 200'])
    ask('e', {}, AbortSignal.abort())
    await clock.advance('1s')
    expect(log.at(-1)).toBe('e cancelled 200')
  })
})

test('who would wait for longer than the longest wait is refused at once, or when it is over', async () => {
  const { clock, log, ask } = start({
    rule: { atMost: 1, per: 'minute', by: 'user', over: 'wait', longestWait: '10s' },
    soon: { atMost: 1, per: '4s', by: 'device', over: 'wait', longestWait: '10s' },
  })
  ask('first', { user: 'ada' })
  ask('second', { user: 'ada' })
  for (const name of ['1', '2', '3', '4', '5']) ask(name, { user: name, device: 'x' })
  await clock.advance('1m')
  expect(log).toEqual([
    'first allow 0',
    '1 allow 0',
    'second wait 0',
    '2 allow 4000',
    '3 allow 8000',
    '4 wait 10000',
    '5 wait 10000',
  ])
  expect(clock.timers).toBe(0)
})

test('lines of several keys go on by themselves, and all rules are asked again when a turn comes', async () => {
  const { clock, log, ask } = start({
    each: { atMost: 1, per: 'second', by: 'user', over: 'wait' },
    all: { atMost: 4, per: 'minute' },
  })
  for (const user of ['ada', 'ben']) for (const n of [1, 2, 3]) ask(`${user}${n}`, { user })
  await clock.advance('10s')
  expect(log.sort()).toEqual([
    'ada1 allow 0',
    'ada2 allow 1000',
    'ada3 over 2000',
    'ben1 allow 0',
    'ben2 allow 1000',
    'ben3 over 1000',
  ])
})

test('atOnce: a place that is given back goes to the first of the line', async () => {
  const { clock, gate, log, ask } = start({
    reports: { atOnce: 1, by: 'user', over: 'wait', longestWait: '5s' },
  })
  const first = await ask('a', { user: 'ada' })
  ask('b', { user: 'ada' })
  ask('c', { user: 'ada' })
  await clock.advance('1s')
  first.release()
  await clock.advance('9s')
  expect(log).toEqual(['a allow 0', 'b allow 1000', 'c wait 5000'])
  expect(gate.counts()[0]).toMatchObject({ waiting: 0 })
})

test('new rules are those of the ones who wait, too', async () => {
  const { clock, gate, log, ask } = start({ rule: { pace: 1, per: 'minute', longestWait: '5m' } })
  ask('a')
  ask('b')
  ask('c')
  await clock.advance('10s')
  gate.reload({ rule: { pace: 1, per: 'second' } })
  await clock.advance('1m')
  expect(log).toEqual(['a allow 0', 'b allow 11000', 'c allow 12000'])
})

test('who waited when the rules changed is counted once, also when another gives up', async () => {
  const { clock, gate, log, ask } = start({ rule: { atMost: 2, per: 'second', over: 'wait' } })
  const giving = new AbortController()
  ask('a')
  ask('b')
  ask('c', {}, giving.signal)
  ask('d')
  gate.reload({ rule: { atMost: 2, per: 'second', over: 'wait', shadow: false } })
  await clock.advance(999)
  giving.abort()
  // The line of the old rules has ended.
  expect(clock.timers).toBe(1)
  await clock.advance(1)
  expect(log).toEqual(['a allow 0', 'b allow 0', 'c cancelled 999', 'd allow 1000'])
  expect(gate.counts()[0]).toMatchObject({ allowed: 3, waiting: 0 })
  ask('e', {}, giving.signal)
  await clock.advance('1s')
  expect(gate.decide({ cost: 0 }).states[0]).toMatchObject({ remaining: 2 })
})

test('keys without end do not make lines without end', async () => {
  const { clock, gate, ask } = start({
    each: { atMost: 1, per: 'second', by: 'user', over: 'wait', line: 2, longestWait: '5s' },
  })
  const users = Array.from({ length: 10_001 }, (_, index) => `${index}`)
  for (const user of users) await ask(user, { user })
  const asked = users.map((user) => ask(user, { user }))
  expect((await asked.at(-1)!).reason).toBe('line')
  expect(gate.counts()[0]).toMatchObject({ waiting: 10_000 })
  const another = ask('0', { user: '0' })
  await clock.advance('2s')
  expect([(await asked[0]!).outcome, (await another).outcome]).toEqual(['allow', 'allow'])
})

test('a program that does nothing but wait for its turn gets it', { timeout: 60_000 }, async () => {
  const program = `
    const { limits, sharedLimits } = await import('${new URL('./index.ts', import.meta.url)}')
    const { memory } = await import('${new URL('../testing/index.ts', import.meta.url)}')
    const rules = { mails: { pace: 20, per: 'second' } }
    const turns = async (line) => {
      for (let turn = 1; turn <= 2; turn++) console.log((await line.admit({})).outcome)
    }
    await turns(limits({ rules }))
    await turns(sharedLimits({ rules, store: memory().limit, timeoutMs: 10_000 }))`
  const flags = ['--input-type=module', '--conditions=@spillway/source', '-e', program]
  const { stdout } = await promisify(execFile)(process.execPath, flags)
  expect(stdout).toBe('allow\n'.repeat(4))
})

test('two that stand first in one line each do not wait for each other', async () => {
  const { clock, log, ask } = start({
    user: { atMost: 1, per: '1000ms', by: 'user', over: 'wait' },
    device: { atMost: 1, per: '1200ms', by: 'device', over: 'wait' },
  })
  ask('first', { user: 'u', device: 'd' })
  await clock.advance(10)
  // For the device it takes longer: there it waits.
  ask('a', { user: 'u', device: 'd' })
  await clock.advance(995)
  ask('elsewhere', { user: 'u', device: 'e' })
  await clock.advance(5)
  // And now for the user.
  ask('b', { user: 'u', device: 'd' })
  await clock.advance('5s')
  expect(log).toEqual(['first allow 0', 'elsewhere allow 1005', 'a allow 2005', 'b allow 3205'])
  expect(clock.timers).toBe(0)
})
