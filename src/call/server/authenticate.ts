// Who may ask: the user's own function decides, before anything of the body is read.
import type { IncomingMessage } from 'node:http'
import { isThenable } from '../../core/thenable.ts'
import { problemReply, type Reply } from './reply.ts'

/** What is known of a request before its body is read. */
export interface CallRequest {
  /** As node:http gives them: names in small letters. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The call that is asked: `inventory.reserve`. */
  readonly type: string
  readonly version: number
  /** The address that the connection comes from. */
  readonly from: string | undefined
}

/**
 * Returns who asks, anything but undefined: answers are given it as `caller.identity`. Undefined, a promise of it, or a throw is 401 without
 * a reason.
 */
export type Authenticate = (request: CallRequest) => unknown

/** The identity, or why there is none. A promise only where the function made one. */
export function identify(
  authenticate: Authenticate | undefined,
  { headers, socket }: IncomingMessage,
  { type, version }: { readonly type: string; readonly version: number },
): Identified | Promise<Identified> {
  if (authenticate === undefined)
    // Pages in browsers say where they come from, and services do not: no page may ask what listens on the loopback of its reader.
    return headers.origin === undefined && headers['sec-fetch-site'] === undefined
      ? { identity: undefined }
      : {
          refused: problemReply(
            403,
            'INVALID_REQUEST',
            'Requests of browsers are not taken without `authenticate`.',
          ),
        }
  try {
    const identity = authenticate({ headers, type, version, from: socket.remoteAddress })
    // Of any kind of promise: taken for an identity, it would let everybody in.
    return isThenable(identity) ? Promise.resolve(identity).then(accept, () => unknown()) : accept(identity)
  } catch {
    return unknown()
  }
}

export type Identified =
  | { readonly identity: unknown; readonly refused?: undefined }
  | { readonly refused: Reply }

function accept(identity: unknown): Identified {
  return identity === undefined ? unknown() : { identity }
}

function unknown(): Identified {
  return { refused: problemReply(401, 'NOT_ACCEPTED', 'The caller was not accepted.') }
}
