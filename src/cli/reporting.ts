// How a command ends when it fails: words that tell what to do, no stack for what we foresaw.
import { asError, isSpillwayError } from '../core/errors.ts'
import { visible } from './output/text.ts'
import { Declined, UsageError } from './usage.ts'

/** Runs a command's work; what it throws becomes lines for people and exit code 1, or 2 for wrong usage. */
export async function reporting(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    // Names that others gave may stand in it.
    process.stderr.write(`${inWords(thrown).split('\n').map(visible).join('\n')}\n`)
    process.exitCode = thrown instanceof UsageError ? 2 : 1
  }
}

function inWords(thrown: unknown): string {
  if (thrown instanceof UsageError || thrown instanceof Declined) return thrown.message
  if (!isSpillwayError(thrown)) return asError(thrown).stack ?? String(thrown)
  const { code, message, cause } = thrown
  if (code === 'CONFIGURATION' && cause instanceof Error) return [message, ...usersLines(cause)].join('\n')
  return [message, ...usersLines(thrown).filter(isFrame)].join('\n')
}

/** A stack without the calls inside Node, Spillway and its command line: what is left lies in the user's own files. */
function usersLines({ stack = '' }: Error): string[] {
  const ours = new URL('..', import.meta.url).href
  const others = [ours, 'node:', '/node_modules/commander/']
  return stack.split('\n').filter((line) => !isFrame(line) || !others.some((other) => line.includes(other)))
}

function isFrame(line: string): boolean {
  return /^ {4}at /.test(line)
}
