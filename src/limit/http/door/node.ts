// Limits in front of node:http.
import type { ServerResponse } from 'node:http'
import { SpillwayError } from '../../../core/errors.ts'
import type { BodySource } from '../defer/request-body.ts'
import { fields } from '../fields.ts'
import { Door, type DoorOptions, type Entry, type Outgoing } from './door.ts'
import type { DoorLimits } from './door-limits.ts'
import type { Reply } from './reply.ts'
import type { RawRequest } from './request-subject.ts'

/** What is needed of a response of node:http. */
export interface NodeResponse extends Outgoing {
  setHeader(name: string, value: string): unknown
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown
  end(body: string): unknown
}

/**
 * A function to ask first: `if (!(await door(request, response))) return`. True lets the request in, and its response has the fields of the limits. False:
 * it was answered (429 and the like), or its client is gone. At once, but for what waits in a line. Throws, or rejects with, what a function of the options threw.
 */
export function limitNode<Request extends RawRequest>(
  limits: DoorLimits,
  options: DoorOptions<Request> = {},
): (request: Request, response: NodeResponse) => boolean | Promise<boolean> {
  const door = new Door<Request>(limits, options)
  return (request, response) => {
    const entry = door.enter(request, request, response, () => bodyFrom(request))
    return entry instanceof Promise ? entry.then((waited) => pass(waited, response)) : pass(entry, response)
  }
}

/** What a parser left on a request, or its stream. Throws INVALID_OPTION for one that somebody has read and left nowhere. */
export function bodyFrom(request: RawRequest): BodySource {
  const { body, readableDidRead } = request as { readonly body?: unknown; readonly readableDidRead?: boolean }
  // The parsers of Express 4 leave an empty object where they have read nothing.
  if (body !== undefined && (readableDidRead !== false || !isEmpty(body))) return { parsed: body }
  if (!readableDidRead) return { stream: request as unknown as AsyncIterable<Uint8Array> }
  if (hasBody(request)) throw bodyTaken()
  return { parsed: '' }
}

function isEmpty(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Object.keys(body).length === 0
}

function hasBody({ headers }: RawRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function bodyTaken(): SpillwayError {
  return new SpillwayError(
    'INVALID_OPTION',
    'A request is to be deferred, and its body was read before it came to the door.',
    { remedy: 'Put the door before what reads it, or leave what was read on the request as `body`.' },
  )
}

/** Writes what the door says; whether the request goes on. */
export function pass(entry: Entry, response: NodeResponse): boolean {
  if (entry.kind === 'gone') return false
  if (entry.kind === 'answered') {
    write(response, entry.reply)
    return false
  }
  const { policy, limit } = entry.fields
  if (policy === '') return true
  response.setHeader(policyName, policy)
  response.setHeader(limitName, limit)
  return true
}

/** In lower case, as node:http looks them up: it need not make them so for every request. */
const policyName = fields.policy.toLowerCase()
const limitName = fields.limit.toLowerCase()

function write(response: NodeResponse, { status, headers, body }: Reply): void {
  if ((response as Partial<ServerResponse>).headersSent || response.closed) return
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}
