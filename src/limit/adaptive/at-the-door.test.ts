// What a door tells an adaptive rule of how a response ended; and rules with bans and adaptive numbers in a file.
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { fakeClock } from '../../testing/fake-clock.ts'
import { parseRules } from '../file/parse-rules.ts'
import type { Outgoing } from '../http/door/door.ts'
import { limitNode, type NodeResponse } from '../http/door/node.ts'
import { limits } from '../limits.ts'
import { checkRules } from '../rule/read-rules.ts'

/** What the door needs of a response. */
class FakeResponse extends EventEmitter {
  statusCode = 200
  writableFinished = false
  writableEnded = true
  closed = false
  setHeader(): void {}
  writeHead(): void {}
  end(): void {}
}

test('responses of 503 and 504 are drops, others are measured, and clients that left say nothing', async () => {
  const clock = fakeClock()
  const all = limits({ rules: { all: { atOnce: 'adaptive', from: 2, upTo: 50 } }, clock })
  const door = limitNode(all)
  const number = () => all.counts()[0]!.atOnce!
  const serve = async (times: number, status: number, finished = true) => {
    for (let i = 0; i < times; i++) {
      const responses = Array.from({ length: number() }, () => new FakeResponse())
      const request = { method: 'GET', url: '/', headers: {}, socket: { remoteAddress: '203.0.113.7' } }
      for (const each of responses)
        expect(await door({ ...request }, each as unknown as Outgoing & NodeResponse)).toBe(true)
      await clock.advance(10)
      for (const each of responses) {
        each.statusCode = status
        each.writableFinished = finished
        each.emit('close')
      }
    }
  }
  await serve(60, 200)
  const grown = number()
  expect(grown).toBeGreaterThan(10)
  await serve(60, 200, false)
  expect(number()).toBe(grown)
  await serve(30, 503)
  const after = number()
  expect(after).toBeLessThan(grown * 0.8)
  await serve(30, 504)
  expect(number()).toBeLessThan(after)
})

test('in a file they read like sentences, and what is wrong is told with its line', async () => {
  const text = [
    'rules:',
    '  logins: { atMost: 5, per: minute, by: address, ban: { after: 3, within: 10m, for: minute, upTo: day } }',
    '  search: { atOnce: adaptive, from: 4, upTo: 200 }',
  ].join('\n')
  const [logins, search] = checkRules(await parseRules(text, 'limits.yaml'))
  expect(logins!.ban).toEqual({
    kind: 'ban',
    limit: 3,
    withinUs: 600_000_000,
    forUs: 60_000_000,
    upToUs: 86_400_000_000,
  })
  expect(search!.adaptive).toEqual({ from: 4, upTo: 200 })
  const wrong = text.replace('for: minute', 'for: never').replace('upTo: 200', 'upTo: 2')
  const check = async () => checkRules(await parseRules(wrong, 'limits.yaml'))
  await expect(check()).rejects.toThrow(/limits\.yaml:2: rule logins, ban: for: /)
  await expect(check()).rejects.toThrow(/limits\.yaml:3: rule search, upTo: it is 2/)
})
