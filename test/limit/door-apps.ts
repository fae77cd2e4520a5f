// The same app on each framework: real servers on loopback, with the door in front.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpBindings, serve } from '@hono/node-server'
import express, { type Request as ExpressRequest } from 'express'
import fastify, { type FastifyRequest } from 'fastify'
import { type Context, Hono } from 'hono'
import { onTestFinished } from 'vitest'
import { type DoorOptions, decisionOf } from '../../src/limit/http/door/door.ts'
import type { DoorLimits } from '../../src/limit/http/door/door-limits.ts'
import { limitExpress } from '../../src/limit/http/door/express.ts'
import { limitFastify } from '../../src/limit/http/door/fastify.ts'
import { limitHono } from '../../src/limit/http/door/hono.ts'
import { limitNode } from '../../src/limit/http/door/node.ts'

/** What a handler is given: the same in all of them. */
export interface Asked {
  readonly path: string
  /** What the door decided. */
  readonly decision: ReturnType<typeof decisionOf>
}

export type Work = (asked: Asked) => Promise<{ readonly status: number; readonly text: string }>

/** What is the same whatever the request is. */
export type AppOptions = Omit<DoorOptions<never>, 'keys' | 'costs' | 'plan' | 'on' | 'refund'> & {
  /** The user is who the header x-user says. */
  readonly refund?: (status: number) => boolean
}

export interface App {
  readonly name: string
  start(limits: DoorLimits, work: Work, options?: AppOptions): Promise<string>
}

function userOf(header: string | readonly string[] | undefined | null): string | undefined {
  if (header === 'unreadable') throw new Error('the user could not be read')
  return typeof header === 'string' ? header : undefined
}

function costOf(header: string | readonly string[] | undefined | null): number {
  return typeof header === 'string' ? Number(header) : 1
}

async function listening(server: Server): Promise<string> {
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const node: App = {
  name: 'node:http',
  start(limits, work, options = {}) {
    const door = limitNode(limits, {
      ...options,
      keys: { user: ({ headers }: IncomingMessage) => userOf(headers['x-user']) },
      costs: { megabytes: ({ headers }: IncomingMessage) => costOf(headers['x-megabytes']) },
    })
    const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      try {
        if (!(await door(request, response))) return
        const { status, text } = await work({ path: request.url ?? '', decision: decisionOf(request) })
        response.writeHead(status).end(text)
      } catch {
        response.writeHead(500).end('failed')
      }
    }
    return listening(createServer((request, response) => void handle(request, response)))
  },
}

const onExpress: App = {
  name: 'Express',
  start(limits, work, options = {}) {
    const app = express()
    const door = limitExpress(limits, {
      ...options,
      keys: { user: (request: ExpressRequest) => userOf(request.get('x-user')) },
      costs: { megabytes: (request: ExpressRequest) => costOf(request.get('x-megabytes')) },
    })
    // Mounted, so that `url` is not the whole of it.
    const router = express.Router()
    router.use(door)
    router.use(async (request, response) => {
      const { status, text } = await work({ path: request.originalUrl, decision: decisionOf(request) })
      response.status(status).end(text)
    })
    app.use('/:first', router)
    app.use((thrown: Error, _request: unknown, response: ServerResponse, _next: unknown) => {
      response.writeHead(500).end(thrown.message)
    })
    return listening(createServer(app))
  },
}

const onFastify: App = {
  name: 'Fastify',
  async start(limits, work, options = {}) {
    const app = fastify()
    await app.register(
      limitFastify(limits, {
        ...options,
        keys: { user: (request: FastifyRequest) => userOf(request.headers['x-user']) },
        costs: { megabytes: (request: FastifyRequest) => costOf(request.headers['x-megabytes']) },
      }),
    )
    app.all('/*', async (request, reply) => {
      const { status, text } = await work({ path: request.url, decision: decisionOf(request) })
      return reply.code(status).send(text)
    })
    await app.ready()
    return listening(app.server)
  },
}

const onHono: App = {
  name: 'Hono',
  start(limits, work, options = {}) {
    const app = new Hono<{ Bindings: HttpBindings }>()
    app.use(
      limitHono(limits, {
        ...options,
        keys: { user: (context: Context) => userOf(context.req.header('x-user')) },
        costs: { megabytes: (context: Context) => costOf(context.req.header('x-megabytes')) },
      }),
    )
    app.all('*', async (context) => {
      const { status, text } = await work({ path: context.req.path, decision: decisionOf(context) })
      return context.body(text, status as 200)
    })
    app.onError((_error, context) => context.text('failed', 500))
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
    return new Promise<void>((resolve) => {
      if (server.listening) resolve()
      else server.once('listening', resolve)
    }).then(() => listening(server))
  },
}

export const apps: readonly App[] = [node, onExpress, onFastify, onHono]
