// Asking running processes, by the sockets by which they are looked after, with words for what goes wrong.
import { request } from 'node:http'
import type { Command } from 'commander'
import { asError, SpillwayError } from '../../core/errors.ts'
import { controlPath, type FoundProcess, knownProcesses } from './control-folder.ts'

export interface ProcessChoice {
  readonly at?: string
  readonly json?: boolean
}

const timeoutMs = 5_000

export function atProcess(command: Command, which: string, examples: string): Command {
  return command
    .option(
      '--at <process>',
      `a process id, or the socket that it was given by --control (default: ${which})`,
    )
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExamples:\n${examples.replace(/^\n|\n$/g, '')}`)
}

/** An answer, and of which process it is. */
export interface Answered<Answer> {
  readonly process: string
  readonly answer: Answer
}

/** What all of them answer, or the one that is named. UNREACHABLE where there is none. */
export async function askAll<Answer>(at: string | undefined, path: string): Promise<Answered<Answer>[]> {
  if (at !== undefined) return [await askOne(named(at), path)]
  const silent: unknown[] = []
  const answers = await Promise.all(
    knownProcesses().map((found) =>
      askOne<Answer>(found, path).catch((thrown: unknown) => {
        if (!isGone(asError(thrown).cause)) silent.push(thrown)
        return undefined
      }),
    ),
  )
  const answered = answers.filter((answer) => answer !== undefined)
  if (answered.length === 0 && silent.length > 0) throw silent[0]
  // One that is stopped, or whose loop is blocked, hides no other.
  for (const thrown of silent) process.stderr.write(`warning: ${asError(thrown).message}\n`)
  if (answered.length > 0) return answered
  throw new SpillwayError('UNREACHABLE', 'No process that this user started by spillway up runs here.', {
    remedy:
      'Ask as the user who started it, or where it is: --at takes the socket that spillway up was given by --control.',
  })
}

/** The process that is named, or the only one there is. */
export async function theProcess(at: string | undefined, path: string): Promise<FoundProcess> {
  if (at !== undefined) return named(at)
  const [first, ...others] = await askAll(undefined, path)
  if (others.length === 0) return named(first!.process)
  const names = [first!, ...others].map(({ process }) => process).join(', ')
  throw new SpillwayError('INVALID_OPTION', `Several processes run here: ${names}.`, {
    remedy: 'Nothing was changed. Name one by --at; spillway calls ls shows whom each calls.',
  })
}

function named(at: string): FoundProcess {
  return { name: at, path: /^\d+$/.test(at) ? controlPath(at) : at }
}

export async function askOne<Answer>(
  { name, path: socketPath }: FoundProcess,
  path: string,
  body?: unknown,
): Promise<Answered<Answer>> {
  const said = await exchange(socketPath, path, body).catch((thrown: unknown) => {
    const cause = asError(thrown)
    throw new SpillwayError('UNREACHABLE', `No process answers at ${socketPath}: ${cause.message}.`, {
      cause,
      remedy: 'spillway calls ls shows the processes of this user; of others --at names the socket.',
    })
  })
  const answer = parse(said.text)
  if (said.status === 200 && answer !== undefined) return { process: name, answer: answer as Answer }
  const { detail } = (answer ?? {}) as { readonly detail?: string }
  throw new SpillwayError('INVALID_REQUEST', detail ?? `Process ${name} answered ${said.status}.`, {
    remedy: 'Nothing was changed.',
  })
}

function exchange(
  socketPath: string,
  path: string,
  body: unknown,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const method = body === undefined ? 'GET' : 'POST'
    const asked = request({ socketPath, path, method, signal, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', reject)
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** It ended without closing its socket, or just now. */
function isGone(thrown: unknown): boolean {
  const { code } = asError(thrown) as NodeJS.ErrnoException
  return code === 'ECONNREFUSED' || code === 'ENOENT'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
