/** Envoy that answers everything with 200, behind filters of a test. Its own answers come by another port, past every filter. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unprivilegedAccount } from './account.ts'
import { launch } from './launch.ts'
import type { RunningServer, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, run, whyMissing } from './programs.ts'

export interface EnvoyOptions extends StartOptions {
  /** Items of http_filters, before the router. */
  readonly filters: readonly object[]
}

const find = () => findProgram('envoy', [cacheFolder])

const manager =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
const router = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
}

export const envoy = {
  name: 'envoy',

  missing: () => whyMissing('envoy', find(), '--version'),

  async start({ filters, ...options }: EnvoyOptions): Promise<RunningServer> {
    const program = find()
    if (program === undefined) throw new Error(await envoy.missing())
    const listener = (port: number, http_filters: readonly object[]) => ({
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      filter_chains: [
        {
          filters: [
            {
              name: 'envoy.filters.network.http_connection_manager',
              typed_config: {
                '@type': manager,
                stat_prefix: `at_${port}`,
                normalize_path: true,
                merge_slashes: true,
                // Tests are clients of any address.
                use_remote_address: true,
                xff_num_trusted_hops: 1,
                http_filters,
                route_config: {
                  virtual_hosts: [
                    {
                      name: 'all',
                      domains: ['*'],
                      routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
                    },
                  ],
                },
              },
            },
          ],
        },
      ],
    })
    return await launch(
      {
        name: 'envoy',
        account: unprivilegedAccount(),
        stopSignal: 'SIGTERM',
        url: ({ port }) => `http://127.0.0.1:${port}`,
        async prepare({ folder, port, innerPort }) {
          const listeners = [listener(port, [...filters, router]), listener(innerPort, [router])]
          writeFileSync(join(folder, 'envoy.json'), JSON.stringify({ static_resources: { listeners } }))
          // Says what is wrong, before it is started.
          await run(program, ['--mode', 'validate', '-l', 'error', '-c', join(folder, 'envoy.json')])
        },
        command: ({ folder }) => [
          program,
          ...['-c', join(folder, 'envoy.json'), '--disable-hot-restart', '--concurrency', '2', '-l', 'warn'],
        ],
        async probe({ innerPort }) {
          const response = await fetch(`http://127.0.0.1:${innerPort}/`)
          if (response.status !== 200) throw new Error(`${response.status}`)
          return /\/(\d+\.\d+\.\d+)\//.exec(await run(program, ['--version']))?.[1] ?? ''
        },
      },
      options,
    )
  },
}
