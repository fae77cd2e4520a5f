// Standard output: written no faster than it is read, in colour only for a terminal that has them, cut only where
// somebody looks.
import { once } from 'node:events'
import { styleText } from 'node:util'
import { type Column, table } from './table.ts'

type Style = Parameters<typeof styleText>[0]

const reader = new AbortController()

/** Fires when whoever read the output has gone: `spillway … | head`. */
export const readerGone: AbortSignal = reader.signal

/** From now on a reader that goes away is no error; a full disk is one. Once for a program. */
export function forgiveReaders(): void {
  for (const output of [process.stdout, process.stderr])
    output.on('error', (error: NodeJS.ErrnoException) => {
      reader.abort()
      if (error.code === 'EPIPE') return
      process.exitCode = 1
      if (output === process.stdout) process.stderr.write(`The output cannot be written: ${error.message}.\n`)
    })
}

export async function print(...lines: readonly string[]): Promise<void> {
  if (lines.length === 0 || readerGone.aborted) return
  if (process.stdout.write(`${lines.join('\n')}\n`)) return
  await once(process.stdout, 'drain', { signal: readerGone }).catch(() => {})
}

/** One value on one line. */
export function printJson(value: unknown): Promise<void> {
  return print(JSON.stringify(value))
}

export async function printTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Promise<void> {
  const [titles = '', ...lines] = table(columns, rows, lineWidth())
  await print(styled('bold', titles), ...lines)
}

/** Of the terminal, or what COLUMNS says; undefined in a pipe or a file, where nothing is cut. */
export function lineWidth(): number | undefined {
  const { isTTY, columns } = process.stdout
  if (isTTY && columns > 0) return columns
  return Number(process.env.COLUMNS) || undefined
}

/** Heeds NO_COLOR and FORCE_COLOR, and is plain where there is no terminal. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
