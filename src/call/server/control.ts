// Where a process is looked after from the same machine: a Unix socket of its own, apart from the port of the calls. No page of a browser can open one,
// and no proxy passes on to one that it was not told of. Who may use it is who may open the file: its owner.
import { chmodSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { asError, describe, SpillwayError } from '../../core/errors.ts'
import { calledContext, isForce } from '../breakers.ts'
import type { CallClient } from '../client/client.ts'
import { problemReply, type Reply } from './reply.ts'
import { bodyOf } from './request-body.ts'
import { write } from './write.ts'

export const breakersPath = '/breakers'

const maxBodyBytes = 1_024
const requestMs = 5_000
const maxConnections = 16

/** The socket of a process that ended without closing it is taken over. Rejects with CONFIGURATION for a path that cannot be had. */
export async function openControl(path: string, client: CallClient): Promise<() => Promise<void>> {
  const server = createServer({
    headersTimeout: requestMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: 1_000,
  })
  server.maxConnections = maxConnections
  server.on('request', (request, response) => {
    response.on('error', () => {})
    const failed = (thrown: unknown) =>
      problemReply(500, 'INTERNAL', `The request could not be handled: ${asError(thrown).name}.`)
    void answer(client, request)
      .catch(failed)
      .then((reply) => write(response, reply, true))
  })
  try {
    await listen(server, path).catch(async (thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== 'EADDRINUSE' || (await isAnswered(path))) throw thrown
      unlinkSync(path)
      await listen(server, path)
    })
    if (process.platform !== 'win32') chmodSync(path, 0o600)
  } catch (thrown) {
    server.close()
    const why = asError(thrown).message
    throw new SpillwayError('CONFIGURATION', `This process cannot be looked after at ${path}: ${why}.`, {
      cause: thrown,
    })
  }
  server.on('error', () => {})
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true))
    // Only this says that nobody is there: one that may not be asked is somebody's.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'))
    socket.once('close', () => socket.destroy())
    socket.on('connect', () => socket.end())
  })
}

/** `GET /breakers`, and `POST /breakers/<context>` with `{"force": "open" | "closed" | "auto"}`. */
async function answer(client: CallClient, request: IncomingMessage): Promise<Reply> {
  const { url = '', method } = request
  const asked = /^\/breakers(?:\/(.+))?$/.exec(url)
  if (!asked) return problemReply(404, 'INVALID_REQUEST', `There is no ${url}.`)
  const context = asked[1]
  if (context === undefined && method === 'GET') return json(client.targets.map(calledContext))
  if (context === undefined || method !== 'POST')
    return problemReply(405, 'INVALID_REQUEST', 'A breaker is forced by POST, with its context in the path.')
  const target = client.targets.find((each) => encodeURIComponent(each.context) === context)
  if (!target) {
    const known = client.targets.map((each) => each.context).join(', ') || 'none'
    const what = `This process has called no context ${context}; it called ${known}.`
    return problemReply(404, 'INVALID_REQUEST', what)
  }
  const { force } = ((await jsonOf(request)) ?? {}) as { readonly force?: unknown }
  if (!isForce(force))
    return problemReply(400, 'INVALID_REQUEST', `force is ${describe(force)}; it takes open, closed or auto.`)
  target.destination.breaker.force(force)
  return json(calledContext(target))
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const body = await bodyOf(request, maxBodyBytes)
  try {
    return typeof body === 'string' ? undefined : JSON.parse(body.text)
  } catch {
    return undefined
  }
}

function json(value: unknown): Reply {
  return { status: 200, body: JSON.stringify(value) }
}
