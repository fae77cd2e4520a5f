// A reply as bytes on the connection.
import type { ServerResponse } from 'node:http'
import { headers, jsonType, problemType } from '../wire.ts'
import type { Reply } from './reply.ts'

/** `last`: the connection is closed after it. */
export function write(response: ServerResponse, reply: Reply, last: boolean): void {
  if (response.destroyed || response.headersSent) return
  const { status, body } = reply
  const given: (string | number)[] = [
    'content-type',
    status === 200 ? jsonType : problemType,
    'content-length',
    Buffer.byteLength(body),
    'cache-control',
    'no-store',
  ]
  if (reply.replayed) given.push(headers.replay, 'true')
  if (reply.retryAfter !== undefined) given.push('retry-after', reply.retryAfter)
  if (reply.allow !== undefined) given.push('allow', reply.allow)
  if (status === 401) given.push('www-authenticate', 'Spillway')
  if (last) given.push('connection', 'close')
  response.writeHead(status, given).end(body)
}
