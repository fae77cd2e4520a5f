/** Redis, as installed. By default it syncs every write before it answers. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ask } from './ask.ts'
import type { Certificate } from './certificates.ts'
import { launch } from './launch.ts'
import type { Launcher, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, howToGet } from './programs.ts'

export interface RedisOptions extends StartOptions {
  /** `always`: append-only file, synced before each answer. `none`: memory only, empty after a restart. Default `always`. */
  readonly persistence?: 'always' | 'none'
  /** A cluster by itself: one node that has all slots; or a `node` that has none yet (`redis-cluster.ts`). Default false. */
  readonly cluster?: boolean | 'node'
  /** Certificate and key in PEM: the url is that of a port with TLS. */
  readonly tls?: Certificate
}

const find = () => findProgram('redis-server', [cacheFolder])

export const redis: Launcher<RedisOptions> = {
  name: 'redis',
  async missing() {
    return find() === undefined ? `redis-server is not installed: ${howToGet('redis')}` : undefined
  },
  async start(options = {}) {
    const program = find()
    if (program === undefined) throw new Error(await redis.missing())
    const appendOnly =
      options.persistence === 'none'
        ? ['--appendonly', 'no']
        : ['--appendonly', 'yes', '--appendfsync', 'always']
    const { cluster = false } = options
    return await launch(
      {
        name: 'redis',
        stopSignal: 'SIGTERM',
        url: ({ port, innerPort }) =>
          options.tls ? `rediss://127.0.0.1:${innerPort}` : `redis://127.0.0.1:${port}`,
        prepare: async ({ folder }) => {
          if (options.tls === undefined) return
          await writeFile(join(folder, 'cert.pem'), options.tls.cert)
          await writeFile(join(folder, 'key.pem'), options.tls.key)
        },
        command: ({ folder, data, port, innerPort }) => [
          program,
          ...['--bind', '127.0.0.1', '--port', `${port}`, '--dir', data, '--save', '', ...appendOnly],
          ...(cluster ? clusterNode(innerPort) : []),
          ...(options.tls ? tlsAt(folder, innerPort) : []),
        ],
        async probe({ port }) {
          // PING is refused while the file is still being read; INFO alone would be answered.
          const answer = await ask(port, 'PING\r\nINFO server\r\n', /^-|redis_version:\S+\r\n/m)
          const version = /redis_version:(\S+)/.exec(answer)?.[1]
          if (!answer.startsWith('+PONG') || version === undefined) throw new Error(answer)
          if (cluster === true) {
            // It refuses what it has already.
            const state = await ask(
              port,
              'CLUSTER ADDSLOTSRANGE 0 16383\r\nCLUSTER INFO\r\n',
              /cluster_state:\w+/,
            )
            if (!state.includes('cluster_state:ok')) throw new Error(state)
          }
          return version
        },
      },
      options,
    )
  },
}

/** Its nodes talk to each other at a port of their own; who is away for two seconds has failed. */
function clusterNode(busPort: number): string[] {
  const own = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']
  // A replica has what its node has at once, and a node that ends waits for none.
  const replicas = ['--repl-diskless-sync-delay', '0', '--shutdown-timeout', '0']
  return [...own, ...replicas, '--cluster-port', `${busPort}`, '--cluster-node-timeout', '2000']
}

function tlsAt(folder: string, port: number): string[] {
  const files = ['--tls-cert-file', join(folder, 'cert.pem'), '--tls-key-file', join(folder, 'key.pem')]
  return ['--tls-port', `${port}`, ...files, '--tls-auth-clients', 'no']
}
