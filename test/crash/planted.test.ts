// The proof is proved: a short run is clean, and with a fault planted in its workers the same run finds it.
import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { embeddedPostgres } from '../servers/index.ts'
import type { Verdict } from './history.ts'
import { type CrashResult, crash, type Scene } from './run.ts'
import type { Fault } from './worker/faults.ts'
import type { Role } from './worker/spec.ts'

/** Those are struck in whom the faults are: who handles, or in the scene of the outbox who commits. */
async function short(plant?: Fault, scene: Scene = 'everything', url?: string): Promise<CrashResult> {
  const victims: readonly Role[] = scene === 'outbox' ? ['business'] : ['intake', 'ledger']
  const server = url === undefined ? {} : { engine: url, database: url }
  const options = { scene, kills: 4, seed: 11, giveUpMs: 5_000, victims, small: true, ...server }
  const result = await crash(plant ? { ...options, plant } : options)
  // Wanted here, and looked at by nobody.
  if (plant && result.folder) rmSync(result.folder, { recursive: true })
  return result
}

test('a run without a fault is clean', { timeout: 120_000 }, async () => {
  const { verdict, findings, surprises } = await short()
  expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
  expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, outOfOrder: 0, staleAcksAccepted: 0 })
  expect(verdict.handled).toBe(verdict.sent)
})

test('an outbox whose business is killed is clean', { timeout: 120_000 }, async () => {
  const { verdict, findings, surprises, undone } = await short(undefined, 'outbox')
  expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
  expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, ghosts: 0, outOfOrder: 0 })
  expect(verdict.handled).toBe(verdict.sent)
  expect(undone).toBeGreaterThan(0)
})

const planted: readonly [Fault, keyof Verdict, string, Scene?][] = [
  ['fence-removed', 'duplicated', 'effects of messages that were handled before'],
  ['stale-ack', 'staleAcksAccepted', 'a settlement by one who lost the lease'],
  ['commit-early', 'lost', 'messages that were marked before their effects'],
  ['outbox-outside', 'lost', 'messages that were sent after the commit'],
  ['dual-write', 'ghosts', 'messages of transactions that were undone', 'outbox'],
]
// Four kills may all miss the moment in which the fault shows.
test.each(planted)('%s is seen as %s: %s', { timeout: 120_000, retry: 2 }, async (plant, count, _, scene) => {
  const { verdict, surprises } = await short(plant, scene)
  expect(surprises).toEqual([])
  expect(verdict[count]).toBeGreaterThan(0)
})

const missing = await embeddedPostgres.missing()
describe.skipIf(missing !== undefined)(
  `one database for outbox and stream${missing ? `, skipped: ${missing}` : ''}`,
  () => {
    test('a business that is killed leaves each event in the stream once', { timeout: 120_000 }, async () => {
      await using server = await embeddedPostgres.start()
      const { verdict, findings, surprises } = await short(undefined, 'outbox', server.url)
      expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
      expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, ghosts: 0, outOfOrder: 0 })
    })

    test('moved-in-steps is seen as duplicated', { timeout: 120_000, retry: 2 }, async () => {
      await using server = await embeddedPostgres.start()
      const { verdict, surprises } = await short('moved-in-steps', 'outbox', server.url)
      expect(surprises).toEqual([])
      expect(verdict.duplicated).toBeGreaterThan(0)
    })
  },
)
