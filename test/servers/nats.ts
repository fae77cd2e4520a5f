/** NATS with JetStream: the one in the cache folder, which is current, and the system's package, which may be years old. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { launch } from './launch.ts'
import type { Launcher, RunningServer, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, howToGet, run } from './programs.ts'

export interface NatsOptions extends StartOptions {
  /** `always`: JetStream syncs before it acknowledges, where the server can. `interval`: as the server sees fit. Default `always`. */
  readonly sync?: 'always' | 'interval'
  /** Further lines of its configuration. */
  readonly lines?: readonly string[]
}

/** The current one, or whatever there is. Its URL names the monitoring address too. */
export const nats: Launcher<NatsOptions> = launcher('nats', () => findProgram('nats-server', [cacheFolder]))

/** The one that the system's packages carry: settings that came later it ignores, or refuses to start with. */
export const packagedNats: Launcher<NatsOptions> = launcher('nats-packaged', () => findProgram('nats-server'))

function launcher(name: string, find: () => string | undefined): Launcher<NatsOptions> {
  const missing = () => `nats-server is not installed: ${howToGet(name)}`
  return {
    name,
    async missing() {
      return find() === undefined ? missing() : undefined
    },
    async start(options = {}) {
      const program = find()
      if (program === undefined) throw new Error(missing())
      return await start(name, program, options)
    },
  }
}

async function start(name: string, program: string, options: NatsOptions): Promise<RunningServer> {
  const [, minor = 0] = (/v(\d+\.\d+)/.exec(await run(program, ['--version']))?.[1] ?? '')
    .split('.')
    .map(Number)
  // Before 2.10 there was no such setting.
  const sync = options.sync === 'interval' || minor < 10 ? '' : 'sync_interval: always'
  return await launch(
    {
      name,
      stopSignal: 'SIGTERM',
      url: ({ port, innerPort }) => `nats://127.0.0.1:${port}?monitor=http://127.0.0.1:${innerPort}`,
      async prepare({ folder, data, port, innerPort }) {
        const lines = [
          `listen: "127.0.0.1:${port}"`,
          `http: "127.0.0.1:${innerPort}"`,
          `jetstream { store_dir: ${JSON.stringify(data)}\n${sync}\n}`,
          ...(options.lines ?? []),
        ]
        writeFileSync(join(folder, 'nats.conf'), `${lines.join('\n')}\n`)
      },
      command: ({ folder }) => [program, '--config', join(folder, 'nats.conf')],
      async probe({ port, innerPort }) {
        // A server says hello before JetStream answers.
        const health = await fetch(`http://127.0.0.1:${innerPort}/healthz`)
        if (!health.ok) throw new Error(await health.text())
        const answer = await ask(port, '', /^INFO .*\r\n/)
        return (JSON.parse(answer.slice('INFO '.length)) as { version: string }).version
      },
    },
    options,
  )
}
