// Programs of the shop as processes of their own: started, listened to, ended by their pid.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const running = new Set<ChildProcess>()

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Program {
  /** Resolves when the program has written this text, to either of its outputs; rejects when it ends without. */
  wrote(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
  /** Nobody reads its standard output from now on. */
  deafen(): void
  readonly ended: Promise<Ended>
}

/** `npm start -- …args`, without npm. */
export function startShop(...args: string[]): Program {
  return start(['examples/shop/main.ts', ...args])
}

/** The same where a package is not installed. */
export function startShopWithout(name: string, ...args: string[]): Program {
  const hooks = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(found, context, next) {
      if (found === '${name}') throw new Error('not installed')
      return next(found, context)
    } })`
  return start([
    '--import',
    `data:text/javascript,${encodeURIComponent(hooks)}`,
    'examples/shop/main.ts',
    ...args,
  ])
}

/** `spillway …args` on the shop's topology, or another one. */
export function startSpillway(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  config = 'examples/shop/spillway.config.ts',
): Program {
  return start(['src/cli/main.ts', ...args, '--config', config], env)
}

/** Kills what a failed test left behind. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** A fetch that missed its deadline and was made again: what a machine that is busy with other tests is late for is no complaint of the shop. */
const late = /^.*The payloads of pointer events by .* cannot be fetched from .*\n/gm

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })
  running.add(child)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve({ code, signal, stdout: output.stdout, stderr: output.stderr.replaceAll(late, '') })
    })
  })
  return {
    ended,
    kill: (signal) => void child.kill(signal),
    deafen: () => child.stdout.destroy(),
    wrote: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (`${output.stdout}${output.stderr}`.includes(text)) resolve()
        }
        for (const stream of [child.stdout, child.stderr]) stream.on('data', look)
        look()
        void ended.then(({ code, stderr }) =>
          reject(new Error(`ended with ${code} before '${text}': ${stderr}`)),
        )
      }),
  }
}
