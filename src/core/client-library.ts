// Client libraries of engines are optional peers: loaded when an engine is opened, so that nobody else needs them.
import { asError, SpillwayError } from './errors.ts'

export interface ClientLibrary<Client> {
  readonly engine: string
  /** The package, and its major version that the engine is written for. */
  readonly name: string
  readonly major: number
  /** Whether what was loaded is of that version: it has what is used of it. */
  isRight(client: Client): boolean
}

/** Loads the library; CLIENT_MISSING names the command that installs it. Another error of loading it is thrown as it is. */
export async function loadLibrary<Client>(
  { engine, name, major, isRight }: ClientLibrary<Client>,
  load: () => Promise<Client>,
): Promise<Client> {
  const install = `npm install ${name}@${major}`
  let client: Client
  try {
    client = await load()
  } catch (thrown) {
    const cause = asError(thrown)
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' || !cause.message.includes(name)) throw thrown
    const what = `The engine '${engine}' needs ${name}: ${install}.`
    throw new SpillwayError('CLIENT_MISSING', what, { engine, cause })
  }
  if (isRight(client)) return client
  const what = `The engine '${engine}' needs version ${major} of ${name}, another one is installed: ${install}.`
  throw new SpillwayError('CLIENT_MISSING', what, { engine })
}
