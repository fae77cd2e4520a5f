/** NATS with JetStream: the one in the cache folder, which is current, before the one installed, which may be old. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { launch } from './launch.ts'
import type { Launcher, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, howToGet } from './programs.ts'

export interface NatsOptions extends StartOptions {
  /** `always`: JetStream syncs before it acknowledges. `interval`: as the server sees fit (two minutes). Default `always`. */
  readonly sync?: 'always' | 'interval'
}

const find = () => findProgram('nats-server', [cacheFolder])

export const nats: Launcher<NatsOptions> = {
  name: 'nats',
  async missing() {
    return find() === undefined ? `nats-server is not installed: ${howToGet('nats')}` : undefined
  },
  async start(options = {}) {
    const program = find()
    if (program === undefined) throw new Error(await nats.missing())
    const sync = options.sync === 'interval' ? '' : 'sync_interval: always'
    return await launch(
      {
        name: 'nats',
        stopSignal: 'SIGTERM',
        url: ({ port }) => `nats://127.0.0.1:${port}`,
        async prepare({ folder, data, port }) {
          const lines = [
            `listen: "127.0.0.1:${port}"`,
            `jetstream { store_dir: ${JSON.stringify(data)}\n${sync}\n}`,
          ]
          writeFileSync(join(folder, 'nats.conf'), `${lines.join('\n')}\n`)
        },
        command: ({ folder }) => [program, '--config', join(folder, 'nats.conf')],
        async probe({ port }) {
          const answer = await ask(port, '', /^INFO .*\r\n/)
          const info = JSON.parse(answer.slice('INFO '.length)) as { version: string; jetstream?: boolean }
          if (info.jetstream !== true) throw new Error('JetStream is not up')
          return info.version
        },
      },
      options,
    )
  },
}
