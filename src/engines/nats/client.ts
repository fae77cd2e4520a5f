// The client library, an optional peer.
import { loadLibrary } from '../../core/client-library.ts'

export type Client = typeof import('@nats-io/transport-node')

const library = {
  engine: 'nats',
  name: '@nats-io/transport-node',
  major: 3,
  isRight: ({ connect, credsAuthenticator }: Client) =>
    typeof connect === 'function' && typeof credsAuthenticator === 'function',
}

/** Loads the library, or throws CLIENT_MISSING. `load` stands in for the import in tests. */
export function loadClient(
  load: () => Promise<Client> = () => import('@nats-io/transport-node'),
): Promise<Client> {
  return loadLibrary(library, load)
}
