// Runs tests on the oldest PostgreSQL that Spillway takes and on the newest.
import pg from 'pg'
import { afterAll, beforeAll, describe } from 'vitest'
import {
  embeddedPostgres,
  type PostgresOptions,
  type RunningServer,
  systemPostgres,
} from '../servers/index.ts'

export async function onServers(
  title: string,
  options: PostgresOptions,
  tests: (server: () => RunningServer) => void,
): Promise<void> {
  for (const launcher of [systemPostgres, embeddedPostgres]) {
    const missing = await launcher.missing()
    describe.skipIf(missing !== undefined)(`${title} (${missing ?? launcher.name})`, () => {
      let server: RunningServer | undefined
      beforeAll(async () => {
        server = await launcher.start(options)
      })
      afterAll(() => server?.stop())
      tests(() => server!)
    })
  }
}

/** A pool for looking at the server from outside. A server that goes away under it is no failure of the test. */
export function looking(url: string, max = 1): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max })
  pool.on('error', () => {})
  return pool
}
