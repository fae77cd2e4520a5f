// The proof is proved: a short run is clean, and with a fault planted in its workers the same run finds it.
import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { embeddedPostgres } from '../servers/index.ts'
import type { Verdict } from './history.ts'
import { type CrashOptions, type CrashResult, crash } from './run.ts'
import type { Fault } from './worker/faults.ts'
import type { Role } from './worker/spec.ts'

type Short = Pick<CrashOptions, 'scene' | 'plant' | 'crew' | 'victims' | 'kills'>

/** A run that strikes those who handle, or in the scene of the outbox who commits. */
async function short(options: Partial<Short> = {}, url?: string): Promise<CrashResult> {
  const victims: readonly Role[] = options.scene === 'outbox' ? ['business'] : ['intake', 'ledger']
  const server = url === undefined ? {} : { engine: url, database: url }
  const result = await crash({
    ...{ kills: 4, seed: 11, giveUpMs: 5_000, victims, small: true, ...server },
    ...options,
  })
  // Wanted here, and looked at by nobody.
  if (options.plant && result.folder) rmSync(result.folder, { recursive: true })
  return result
}

test('a run without a fault is clean', { timeout: 120_000 }, async () => {
  const { verdict, findings, surprises } = await short()
  expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
  expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, outOfOrder: 0, staleAcksAccepted: 0 })
  expect(verdict.handled).toBe(verdict.sent)
})

test('an outbox whose business is killed is clean', { timeout: 120_000 }, async () => {
  const { verdict, findings, surprises, undone } = await short({ scene: 'outbox' })
  expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
  expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, ghosts: 0, outOfOrder: 0 })
  expect(verdict.handled).toBe(verdict.sent)
  expect(undone).toBeGreaterThan(0)
})

/** Those in whom the fault is are struck, and beside them only those are at work who are needed for it to show. */
const queued = { crew: ['jobs', 'intake', 'dispatch'], victims: ['intake'] } as const
const planted: readonly (Partial<Short> & { plant: Fault; count: keyof Verdict; what: string })[] = [
  {
    plant: 'fence-removed',
    count: 'duplicated',
    what: 'effects of messages that were handled before',
    ...queued,
  },
  // Who is stale was not killed.
  {
    plant: 'stale-ack',
    count: 'staleAcksAccepted',
    what: 'a settlement by one who lost the lease',
    crew: ['probe'],
    kills: 0,
  },
  {
    plant: 'commit-early',
    count: 'lost',
    what: 'messages that were marked before their effects',
    ...queued,
  },
  { plant: 'outbox-outside', count: 'lost', what: 'messages that were sent after the commit', ...queued },
  {
    plant: 'dual-write',
    count: 'ghosts',
    what: 'messages of transactions that were undone',
    scene: 'outbox',
  },
]
// Four kills may all miss the moment in which the fault shows.
test.each(planted)('$plant is seen as $count: $what', { timeout: 120_000, retry: 2 }, async (fault) => {
  const { count, what: _, ...options } = fault
  const { verdict, surprises } = await short(options)
  expect(surprises).toEqual([])
  expect(verdict[count]).toBeGreaterThan(0)
})

const missing = await embeddedPostgres.missing()
describe.skipIf(missing !== undefined)(
  `one database for outbox and stream${missing ? `, skipped: ${missing}` : ''}`,
  () => {
    test('a business that is killed leaves each event in the stream once', { timeout: 120_000 }, async () => {
      await using server = await embeddedPostgres.start()
      const { verdict, findings, surprises } = await short({ scene: 'outbox' }, server.url)
      expect({ findings, surprises }).toEqual({ findings: [], surprises: [] })
      expect(verdict).toMatchObject({ kills: 4, lost: 0, duplicated: 0, ghosts: 0, outOfOrder: 0 })
    })

    test('moved-in-steps is seen as duplicated', { timeout: 120_000, retry: 2 }, async () => {
      await using server = await embeddedPostgres.start()
      const { verdict, surprises } = await short({ scene: 'outbox', plant: 'moved-in-steps' }, server.url)
      expect(surprises).toEqual([])
      expect(verdict.duplicated).toBeGreaterThan(0)
    })
  },
)
