// The question before what cannot be undone.

import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { Declined, UsageError } from '../usage.ts'

export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean }
  readonly output: Writable & { readonly isTTY?: boolean }
}

const terminal: Terminal = { input: process.stdin, output: process.stderr }

/** Throws UsageError where nobody can be asked: before anything is opened. */
export function requireConsent(yes: boolean | undefined, { input, output }: Terminal = terminal): void {
  if (yes || (input.isTTY && output.isTTY)) return
  throw new UsageError(
    'This cannot be undone, and there is no terminal to ask at. Say --yes. Nothing was done.',
  )
}

/** Resolves when the answer is yes; throws Declined for any other. */
export async function confirm(
  question: string,
  yes: boolean | undefined,
  { input, output }: Terminal = terminal,
): Promise<void> {
  if (yes) return
  const lines = createInterface({ input, output })
  const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
  try {
    const answer = await Promise.race([lines.question(`${question} [y/N] `), closed])
    if (!/^\s*y(es)?\s*$/i.test(answer)) throw new Declined('Nothing was done.')
  } finally {
    lines.close()
  }
}
