// What a door answers about requests that are deferred: that they are, and what became of them.
import type { DeferredState } from '../../defer.ts'
import { again, json, limited, plain, type Reply } from '../door/reply.ts'
import type { Deferral, Deferring } from './deferral.ts'

/** Anything that is no text of a header's; RFC 9110 has more, but nobody makes keys of it. */
const visible = /^[\x21-\x7e]{1,200}$/

/** How soon a client should ask for a state again. */
const pollMs = 1_000

/** Undefined for a key that is none. */
export function keyIn(header: string | readonly string[] | undefined): string | 'none' | undefined {
  if (header === undefined) return 'none'
  return typeof header === 'string' && visible.test(header) ? `key ${header}` : undefined
}

/** Puts it on the queue, and says so; undefined where there is no more room, or no time: then the limit refuses it. */
export async function deferred(
  deferral: Deferral,
  asked: Deferring,
  retryAfterMs: number,
  random: () => number,
): Promise<Reply | undefined> {
  const put = await deferral.put(asked, retryAfterMs)
  switch (put.kind) {
    case 'full':
      return undefined
    case 'reused':
      return plain(422, 'Unprocessable Content', 'This Idempotency-Key was used for another request.')
    case 'away':
      return limited(
        'temporary-reduced-capacity',
        [],
        'The request could not be put on its queue.',
        again(pollMs, random),
      )
    case 'known': {
      const location = deferral.at + put.state.id
      // A limit may not know when it allows it: that is no reason not to say when to ask.
      const pollAfterMs = Number.isFinite(retryAfterMs) ? Math.max(retryAfterMs, pollMs) : pollMs
      const wait = put.state.status === 'queued' ? again(pollAfterMs, random) : {}
      return json(202, told(put.state, location), { Location: location, ...wait })
    }
  }
}

/** The store of the states is away. */
export function cannotTell(random: () => number): Reply {
  return limited(
    'temporary-reduced-capacity',
    [],
    'What became of the request cannot be found out at the moment.',
    again(pollMs, random),
  )
}

/** The state of a request at its address. */
export async function stateReply(
  deferral: Deferral,
  path: string,
  owner: string | undefined,
  random: () => number,
): Promise<Reply> {
  let state: DeferredState | undefined
  try {
    state = owner === undefined ? undefined : await deferral.state(path.slice(deferral.at.length), owner)
  } catch {
    return cannotTell(random)
  }
  if (state === undefined)
    return plain(404, 'Not Found', 'There is no such request, or not of this client, or not any more.')
  return json(200, told(state, path), state.status === 'queued' ? again(pollMs, random) : {})
}

function told({ id, status, result }: DeferredState, location: string): object {
  return { id, status, location, ...(result === undefined ? {} : { result }) }
}
