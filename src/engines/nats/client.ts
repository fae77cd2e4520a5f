// The client library, an optional peer: loaded when the engine is opened, so that nobody else needs it.
import { asError, SpillwayError } from '../../core/errors.ts'

export type Client = typeof import('@nats-io/transport-node')

const name = '@nats-io/transport-node'
const install = `npm install ${name}@3`

/** Loads the library; CLIENT_MISSING names the command that installs it. `load` stands in for the import in tests. */
export async function loadClient(
  load: () => Promise<Client> = () => import('@nats-io/transport-node'),
): Promise<Client> {
  let client: Client
  try {
    client = await load()
  } catch (thrown) {
    const cause = asError(thrown)
    const { code } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' || !cause.message.includes(name)) throw thrown
    throw new SpillwayError('CLIENT_MISSING', `The engine 'nats' needs ${name}: ${install}.`, {
      engine: 'nats',
      cause,
    })
  }
  if (typeof client.connect !== 'function' || typeof client.credsAuthenticator !== 'function')
    throw new SpillwayError(
      'CLIENT_MISSING',
      `The engine 'nats' needs version 3 of ${name}, another one is installed: ${install}.`,
      { engine: 'nats' },
    )
  return client
}
