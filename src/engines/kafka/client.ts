// The client library, an optional peer.
import { loadLibrary } from '../../core/client-library.ts'

export type Client = typeof import('@platformatic/kafka')

const library = {
  engine: 'kafka',
  name: '@platformatic/kafka',
  major: 2,
  isRight: ({ Connection, fetchV12 }: Client) =>
    typeof Connection === 'function' && typeof fetchV12?.createRequest === 'function',
}

/** Loads the library, or throws CLIENT_MISSING. `load` stands in for the import in tests. */
export function loadClient(
  load: () => Promise<Client> = () => import('@platformatic/kafka'),
): Promise<Client> {
  return loadLibrary(library, load)
}
