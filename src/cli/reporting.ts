// How a command ends when it fails: words that tell what to do, no stack for what we foresaw.
import { isSpillwayError } from '../core/errors.ts'

/** Runs a command's work; what it throws becomes a line for people and exit code 1. */
export async function reporting(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    process.stderr.write(
      `${isSpillwayError(thrown) ? thrown.message : ((thrown as Error)?.stack ?? String(thrown))}\n`,
    )
    process.exitCode = 1
  }
}
