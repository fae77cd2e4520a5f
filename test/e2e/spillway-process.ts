// The command `spillway` as a process of its own, in a folder of one's choice.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface Said {
  readonly out: string
  readonly err: string
  readonly code: number | null
}

export interface RunningCommand {
  readonly child: ChildProcess
  readonly said: Promise<Said>
  /** Resolves when standard output has this text; rejects when the command ends without. */
  wrote(text: string): Promise<void>
}

export function startCommand(cwd: string, ...args: readonly string[]): RunningCommand {
  // Their control sockets are in their folder, apart from those of other tests.
  const env = { ...process.env, COLUMNS: '100', NO_COLOR: '1', XDG_RUNTIME_DIR: cwd }
  const child = spawn(process.execPath, [main, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.err += text
  })
  const said = new Promise<Said>((resolve) => child.once('close', (code) => resolve({ ...output, code })))
  return {
    child,
    said,
    wrote: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (output.out.includes(text)) resolve()
        }
        child.stdout.on('data', look)
        look()
        void said.then(({ code, err }) => reject(new Error(`ended with ${code} before '${text}': ${err}`)))
      }),
  }
}

export function command(cwd: string, ...args: readonly string[]): Promise<Said> {
  return startCommand(cwd, ...args).said
}
