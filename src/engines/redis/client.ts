// The client library, an optional peer.
import { loadLibrary } from '../../core/client-library.ts'

export type Client = typeof import('@redis/client')

const library = {
  engine: 'redis',
  name: '@redis/client',
  major: 6,
  isRight: ({ createClient, createCluster, DEFAULT_RESP }: Client) =>
    typeof createClient === 'function' && typeof createCluster === 'function' && DEFAULT_RESP !== undefined,
}

/** Loads the library, or throws CLIENT_MISSING. `load` stands in for the import in tests. */
export function loadClient(load: () => Promise<Client> = () => import('@redis/client')): Promise<Client> {
  return loadLibrary(library, load)
}
