// What a group is told, on every engine that can be started here, without a database of the service's own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { deadLetter, open, type Spillway, type Stream, unchecked } from '../../src/index.ts'
import { kafka, nats, type RunningServer, systemPostgres } from '../servers/index.ts'

interface Step {
  key: string
  n: number
}

const folder = mkdtempSync(join(tmpdir(), 'spillway-groups-'))
afterAll(() => rmSync(folder, { recursive: true }))

const engines = [
  { name: 'sqlite', start: async () => ({ url: `sqlite:${join(folder, 'engine')}`, stop: async () => {} }) },
  { name: 'postgres', launcher: systemPostgres, start: () => systemPostgres.start() },
  { name: 'nats', launcher: nats, start: () => nats.start() },
  {
    name: 'kafka',
    launcher: kafka,
    start: () => kafka.start({ settings: { 'group.min.session.timeout.ms': '1000' } }),
  },
] as const

for (const engine of engines) {
  const missing = 'launcher' in engine ? await engine.launcher.missing() : undefined
  describe.skipIf(missing !== undefined)(
    `groups on ${engine.name}${missing ? `, skipped: ${missing}` : ''}`,
    () => {
      let server: Pick<RunningServer, 'url' | 'stop'>
      let spillway: Spillway
      let stream: Stream<Step, Step>
      beforeAll(async () => {
        server = await engine.start()
        spillway = await open(server.url)
        const key = ({ key }: Step) => key
        stream = await spillway.stream('steps', { data: unchecked<Step>(), key, partitions: 3 })
        // Together, and one by one: on some engines positions leave numbers out then.
        await stream.appendMany(Array.from({ length: 54 }, (_, n) => ({ key: `k${n % 6}`, n })))
        for (let n = 54; n < 60; n++) await stream.append({ key: `k${n % 6}`, n })
      })
      afterAll(async () => {
        await spillway?.close()
        await server?.stop()
      })

      const wait = { timeout: 20_000, interval: 50 }
      const caughtUp = (group: string) =>
        vi.waitFor(async () => expect((await stream.group(group).lag()).total).toBe(0), wait)

      test('dead letters are redriven once, also over a restart of the member', {
        timeout: 60_000,
      }, async () => {
        const group = stream.group('redriving')
        const seen: number[] = []
        let dying = true
        const handler = ({ data: { n } }: { data: Step }) => {
          if (dying && n % 10 === 0) return deadLetter('tens')
          seen.push(n)
          return undefined
        }
        const first = stream.subscribe('redriving', handler)
        await vi.waitFor(async () => expect(await group.deadLetters()).toHaveLength(6), wait)
        await caughtUp('redriving')
        dying = false
        await first.stop()
        expect(await group.redrive(({ reason }) => reason === 'tens')).toBe(6)
        expect(await group.deadLetters()).toEqual([])
        for (let round = 0; round < 2; round++) {
          const next = stream.subscribe('redriving', handler)
          await vi.waitFor(() => expect(seen).toHaveLength(60), wait)
          await new Promise((resolve) => setTimeout(resolve, 500))
          await next.stop()
        }
        expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n))
      })

      test('a live group of two members goes back, once', { timeout: 60_000 }, async () => {
        const seen: number[] = []
        const handler = ({ data: { n } }: { data: Step }) => void seen.push(n)
        const members = [stream.subscribe('going', handler), stream.subscribe('going', handler)]
        await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(60), wait)
        await caughtUp('going')
        const before = seen.length
        await stream.group('going').replay('earliest')
        await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(before + 60), wait)
        await caughtUp('going')
        await Promise.all(members.map((member) => member.stop()))
        const again = seen.slice(before)
        expect(again).toHaveLength(60)
        for (const key of [0, 1, 2, 3, 4, 5]) {
          const order = again.filter((n) => n % 6 === key)
          expect(order).toEqual(order.toSorted((a, b) => a - b))
        }
      })

      test('the tail and the pages show what is there', { timeout: 30_000 }, async () => {
        expect(await stream.read().toArray()).toHaveLength(60)
        const seen: number[] = []
        for await (const { message } of stream.tail(12)) {
          seen.push(message.data.n)
          if (seen.length === 12) await stream.append({ key: 'k0', n: 100 })
          if (message.data.n === 100) break
        }
        expect(seen).toHaveLength(13)
        expect(new Set(seen).size).toBe(13)
      })
    },
  )
}
