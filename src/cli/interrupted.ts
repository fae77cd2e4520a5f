// Ctrl-C and SIGTERM for commands that go on for long: they end as they should, and a second one ends them at once.
import { readerGone } from './output/print.ts'

/** Fires at the first of them, or when nobody reads the output any more. */
export function interrupted(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return AbortSignal.any([controller.signal, readerGone])
}
