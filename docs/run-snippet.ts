// Runs a program of the documentation as it stands, in an empty folder: for the tests that show that it says what its page says.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Ran {
  /** Null when it took too long. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
  /** Both, as they came. */
  readonly output: string
}

export interface RunSnippetOptions {
  /** For node, before the program. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** `name` as in docs/snippets, without `.ts`. */
export async function runSnippet(
  name: string,
  { flags = [], env = {}, timeoutMs = 50_000 }: RunSnippetOptions = {},
): Promise<Ran> {
  const cwd = mkdtempSync(join(tmpdir(), 'spillway-snippet-'))
  try {
    const file = join(import.meta.dirname, 'snippets', `${name}.ts`)
    const options = { cwd, env: { ...process.env, ...env }, timeout: timeoutMs }
    const child = spawn(process.execPath, ['--conditions=@spillway/source', ...flags, file], options)
    const said = { stdout: '', stderr: '', output: '' }
    for (const stream of ['stdout', 'stderr'] as const)
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text
        said.output += text
      })
    const [status] = (await once(child, 'close')) as [number | null]
    return { status, ...said }
  } finally {
    rmSync(cwd, { recursive: true })
  }
}
