/**
 * PgBouncer in transaction mode, in front of a PostgreSQL server: every transaction may get another session, so that nothing that
 * belongs to a session (settings, prepared statements, LISTEN, session locks) outlives one.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { unprivilegedAccount } from './account.ts'
import { launch } from './launch.ts'
import type { RunningServer, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, run, whyMissing } from './programs.ts'

export interface PgBouncerOptions extends StartOptions {
  /** The server behind it. It must be there for as long as this one is. */
  readonly behind: RunningServer
  /** How many sessions of the server there are, for however many clients. Default 20. */
  readonly sessions?: number
}

const find = () => findProgram('pgbouncer', [cacheFolder, '/usr/sbin', '/usr/local/sbin'])

export const pgbouncer = {
  name: 'pgbouncer',

  missing: () => whyMissing('pgbouncer', find(), '--version', 'is not installed'),

  async start({ behind, sessions = 20, ...options }: PgBouncerOptions): Promise<RunningServer> {
    const program = find()
    if (program === undefined) throw new Error(await pgbouncer.missing())
    const server = new URL(behind.url)
    const account = unprivilegedAccount()
    return await launch(
      {
        name: 'pgbouncer',
        account,
        // At once: SIGINT would wait for the clients.
        stopSignal: 'SIGTERM',
        url({ port }) {
          const url = new URL(behind.url)
          url.port = `${port}`
          return url.href
        },
        async prepare({ folder, port }) {
          writeFileSync(join(folder, 'users.txt'), `"${server.username}" "${server.password}"\n`)
          writeFileSync(
            join(folder, 'pgbouncer.ini'),
            [
              '[databases]',
              `* = host=${server.hostname} port=${server.port}`,
              '[pgbouncer]',
              'listen_addr = 127.0.0.1',
              `listen_port = ${port}`,
              'unix_socket_dir =',
              'auth_type = plain',
              `auth_file = ${join(folder, 'users.txt')}`,
              'pool_mode = transaction',
              'max_client_conn = 2000',
              `default_pool_size = ${sessions}`,
              '',
            ].join('\n'),
          )
        },
        command: ({ folder }) => [program, '-q', join(folder, 'pgbouncer.ini')],
        async probe({ port }) {
          const url = new URL(behind.url)
          url.port = `${port}`
          const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 2_000 })
          client.on('error', () => {})
          try {
            await client.connect()
            await client.query('select 1')
          } finally {
            await client.end().catch(() => {})
          }
          return /(\d+\.\d+\S*)/.exec(await run(program, ['--version']))?.[1] ?? ''
        },
      },
      options,
    )
  },
}
