// The client library, an optional peer: loaded when the engine is opened, so that nobody else needs it.
import { asError, SpillwayError } from '../../core/errors.ts'

export type Client = typeof import('@platformatic/kafka')

const name = '@platformatic/kafka'
const install = `npm install ${name}@2`

/** Loads the library; CLIENT_MISSING names the command that installs it. `load` stands in for the import in tests. */
export async function loadClient(
  load: () => Promise<Client> = () => import('@platformatic/kafka'),
): Promise<Client> {
  let client: Client
  try {
    client = await load()
  } catch (thrown) {
    const cause = asError(thrown)
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' || !cause.message.includes(name)) throw thrown
    throw new SpillwayError('CLIENT_MISSING', `The engine 'kafka' needs ${name}: ${install}.`, {
      engine: 'kafka',
      cause,
    })
  }
  if (typeof client.Connection !== 'function' || typeof client.fetchV12?.createRequest !== 'function')
    throw new SpillwayError(
      'CLIENT_MISSING',
      `The engine 'kafka' needs version 2 of ${name}, another one is installed: ${install}.`,
      { engine: 'kafka' },
    )
  return client
}
