// Asking a running process: at its address, with words for what goes wrong.
import type { Command } from 'commander'
import type { CalledContext } from '../../call/breakers.ts'
import { asError, SpillwayError } from '../../core/errors.ts'

export interface ProcessChoice {
  readonly at: string
  readonly json?: boolean
}

export const defaultAt = 'http://127.0.0.1:7000'
const timeoutMs = 5_000

export function atProcess(command: Command, examples: string): Command {
  return command
    .option('--at <url>', 'where the process listens', defaultAt)
    .option('--json', 'print JSON for programs')
    .addHelpText('after', `\nExamples:\n${examples.replace(/^\n|\n$/g, '')}`)
}

export async function ask<Answer = CalledContext>(at: string, path: string, body?: unknown): Promise<Answer> {
  const url = URL.parse(path, at)
  if (!url) throw new SpillwayError('INVALID_OPTION', `--at is ${at}, which is no URL.`)
  let response: Response
  let text: string
  try {
    const post = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }
    response = await fetch(url, {
      ...(body === undefined ? {} : post),
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'error',
    })
    text = await response.text()
  } catch (thrown) {
    const cause = asError(asError(thrown).cause ?? thrown)
    throw new SpillwayError('UNREACHABLE', `No process answers at ${at}: ${cause.message || 'refused'}.`, {
      cause,
      remedy: 'Say where it listens by --at: spillway up prints it, or is told by --listen.',
    })
  }
  const answer = parse(text)
  if (response.ok && answer !== undefined) return answer as Answer
  const { detail } = (answer ?? {}) as { readonly detail?: string }
  throw new SpillwayError('INVALID_REQUEST', detail ?? `The process at ${at} answered ${response.status}.`, {
    remedy: 'Nothing was changed.',
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
