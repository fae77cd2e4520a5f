// Where a process is looked after from the same machine: a Unix socket of its own, apart from the port of the calls. No page of a browser can open one,
// and no proxy passes on to one that it was not told of. Who may use it is who may open the file: its owner.
import { chmodSync, existsSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
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

/**
 * The socket of a process that ended without closing it is taken over; anything else that stands there is left alone. Rejects with CONFIGURATION for a path
 * that cannot be had.
 */
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
  let ours: number
  try {
    ours = await (process.platform === 'win32' ? listen(server, path).then(() => 0) : takePlace(server, path))
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
      if (ours !== 0 && inodeOf(path) === ours) unlinkSync(path)
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

/**
 * Listens under a name of its own first, which only the owner may open by the time that it is put in its place; so closing never takes away what another
 * process has put there since. Returns the file's number.
 */
async function takePlace(server: Server, path: string): Promise<number> {
  const first = `${path}.${process.pid}`
  if (lstatSync(first, { throwIfNoEntry: false })?.isSocket()) unlinkSync(first)
  await listen(server, first)
  try {
    chmodSync(first, 0o600)
    const there = lstatSync(path, { throwIfNoEntry: false })
    // A file that is no socket refuses connections too, and may be dear to somebody.
    if (there && !there.isSocket()) throw new Error('what is there is no socket')
    if (there && (await isAnswered(path))) throw new Error('another process answers there')
    renameSync(first, path)
  } catch (thrown) {
    if (existsSync(first)) unlinkSync(first)
    throw thrown
  }
  const ours = inodeOf(path)
  // Of two that find the same socket left behind, the last has it, and the other one must not believe that it does.
  await pause(20)
  if (ours === undefined || inodeOf(path) !== ours) throw new Error('another process has taken it')
  return ours
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino
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
