// The command lines of the long runs: what is wrong is said in one line, and nothing is begun.
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As `parseArgs`; ends the process with exit code 2 where that throws. */
export function readOptions<const Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (thrown) {
    return fail((thrown as Error).message)
  }
}

export function fail(why: string): never {
  console.error(why)
  process.exit(2)
}
