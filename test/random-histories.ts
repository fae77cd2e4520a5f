// Where random histories are played: on every engine that has what they are about, through two handles where other processes may have one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { postgres } from '../src/engines/postgres/engine.ts'
import { sqlite } from '../src/engines/sqlite/engine.ts'
import type { Engine } from '../src/ports/engine.ts'
import { memory } from '../src/testing/memory/engine.ts'
import { embeddedPostgres, type RunningServer } from './servers/index.ts'

const missingPostgres = await embeddedPostgres.missing()

/** Declares a test for each engine, which plays histories on its handles. `options` are those of the engines that store. */
export function eachEngineAllows(
  play: (engines: readonly Engine[]) => Promise<void>,
  options: { readonly retentionEveryMs?: number } = {},
): void {
  const on = (name: string, open: () => Promise<readonly Engine[]>, missing?: string): void => {
    describe.skipIf(missing !== undefined)(
      missing === undefined ? name : `${name}, skipped: ${missing}`,
      () => {
        let engines: readonly Engine[] = []
        beforeAll(async () => {
          engines = await open()
        })
        afterAll(async () => {
          await Promise.all(engines.map((engine) => engine.close()))
        })
        test('a random history is one that the model allows', { timeout: 120_000 }, () => play(engines))
      },
    )
  }

  on('memory', async () => [memory()])

  const path = mkdtempSync(join(tmpdir(), 'spillway-histories-'))
  afterAll(() => rmSync(path, { recursive: true }))
  const openSqlite = () => sqlite({ path, synchronous: 'off', ...options })
  on('sqlite', async () => [await openSqlite(), await openSqlite()])

  let server: RunningServer | undefined
  afterAll(() => server?.stop())
  on(
    embeddedPostgres.name,
    async () => {
      server = await embeddedPostgres.start({ settings: { fsync: 'off' } })
      const { url } = server
      return [await postgres({ url, ...options }), await postgres({ url, ...options })]
    },
    missingPostgres,
  )
}
