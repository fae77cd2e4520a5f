// The short form of a soak: nothing grows; and where a transaction stays open all the time, or nobody vacuums, the verdict says so.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { postgres } from '../../src/engines/postgres/engine.ts'
import { embeddedPostgres } from '../servers/index.ts'
import { type SoakOptions, soak } from './run.ts'

const missing = await embeddedPostgres.missing()
const short: Omit<SoakOptions, 'engine'> = {
  ms: 39_000,
  everyMs: 1_000,
  rate: 300,
  keep: { bytes: '500KB', finished: 300 },
}

/** How long a claim takes is judged over minutes: beside other tests it is as it is. */
const growth = (findings: readonly string[]) => findings.filter((finding) => !finding.startsWith('claiming'))

describe.skipIf(missing)('on PostgreSQL', () => {
  test('nothing grows; but with a transaction that stays open, and without vacuum, it is told what does', async () => {
    await using server = await embeddedPostgres.start({ settings: { autovacuum_naptime: '1s' } })
    // Databases of their own: a transaction keeps only its own from being cleaned.
    const [well, held, dirty] = await Promise.all(
      ['well', 'held', 'dirty'].map((name) => database(server.url, name)),
    )
    await vacuumBy(dirty!, 'autovacuum_enabled = false')
    const [one, two, three] = await Promise.all([
      soak({ ...short, engine: well! }),
      soak({ ...short, engine: held!, hold: 'always' }),
      soak({ ...short, engine: dirty!, hold: 'never' }),
    ])
    expect(growth(one.findings)).toEqual([])
    expect(growth(two.findings)).toContainEqual(expect.stringMatching(/^(message|task)\w* grows/))
    expect(growth(three.findings)).toContainEqual(expect.stringMatching(/^(message|task)\w* grows/))
  }, 120_000)
})

test('on SQLite: nothing grows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-soak-'))
  try {
    const { findings } = await soak({ ...short, ms: 24_000, engine: `sqlite:${folder}` })
    expect(growth(findings)).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 120_000)

/** Tables that are vacuumed after hundreds of rows and not thousands: what takes minutes in earnest takes seconds here. */
async function database(url: string, name: string): Promise<string> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  await admin.query(`create database ${name}`)
  await admin.end()
  const own = new URL(url)
  own.pathname = name
  await (await postgres({ url: own.href })).close()
  await vacuumBy(own.href, 'autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.02')
  return own.href
}

async function vacuumBy(url: string, settings: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const tables = `select relname from pg_class where relnamespace = 'spillway'::regnamespace and relkind = 'r'`
  for (const { relname } of (await client.query<{ relname: string }>(tables)).rows)
    await client.query(`alter table spillway.${relname} set (${settings})`)
  await client.end()
}
