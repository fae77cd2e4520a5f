/** nginx in front of a server of a test, with a fragment for its http block. Its own answers come by another port, past every limit. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unprivilegedAccount } from './account.ts'
import { launch } from './launch.ts'
import type { RunningServer, StartOptions } from './launcher.ts'
import { cacheFolder, findProgram, run, whyMissing } from './programs.ts'

export interface NginxOptions extends StartOptions {
  /** For the http block. */
  readonly fragment: string
  /** The port of the server behind it, on 127.0.0.1. */
  readonly upstream: number
  readonly workers?: number
}

const find = () => findProgram('nginx', [cacheFolder, '/usr/sbin', '/usr/local/sbin'])

export const nginx = {
  name: 'nginx',

  missing: () => whyMissing('nginx', find(), '-v'),

  async start({ fragment, upstream, workers = 1, ...options }: NginxOptions): Promise<RunningServer> {
    const program = find()
    if (program === undefined) throw new Error(await nginx.missing())
    return await launch(
      {
        name: 'nginx',
        account: unprivilegedAccount(),
        // Without waiting for clients.
        stopSignal: 'SIGTERM',
        url: ({ port }) => `http://127.0.0.1:${port}`,
        async prepare({ folder, data, port, innerPort }) {
          writeFileSync(join(folder, 'limits.conf'), fragment)
          writeFileSync(
            join(folder, 'nginx.conf'),
            [
              'daemon off;',
              `worker_processes ${workers};`,
              `pid ${folder}/nginx.pid;`,
              'error_log stderr warn;',
              'events { worker_connections 512; }',
              'http {',
              '  access_log off;',
              ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
                (what) => `  ${what}_temp_path ${data}/${what};`,
              ),
              // Tests are clients of any address.
              '  set_real_ip_from 127.0.0.1;',
              '  real_ip_header x-test-address;',
              '  include limits.conf;',
              `  server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${upstream}; } }`,
              `  server { listen 127.0.0.1:${innerPort}; location / { return 204; } }`,
              '}',
              '',
            ].join('\n'),
          )
          // Says what is wrong with a line, before it is started.
          await run(program, ['-t', '-p', folder, '-c', join(folder, 'nginx.conf')], unprivilegedAccount())
        },
        command: ({ folder }) => [program, '-p', folder, '-c', join(folder, 'nginx.conf')],
        async probe({ innerPort }) {
          const response = await fetch(`http://127.0.0.1:${innerPort}/`)
          if (response.status !== 204) throw new Error(`${response.status}`)
          return /nginx\/(\d+\.\d+\S*)/.exec(await run(program, ['-v']))?.[1] ?? ''
        },
      },
      options,
    )
  },
}
