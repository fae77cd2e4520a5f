import { serve } from '@hono/node-server'
import express, { type Request } from 'express'
import fastify, { type FastifyRequest } from 'fastify'
import { type Context, Hono } from 'hono'
import { limitExpress, limitFastify, limitHono, limits } from 'spillway/limit'

// One set of limits: whoever comes by one door is counted at all of them.
const bounds = limits({ rules: { each: { atMost: 3, per: 'minute', by: 'user' } } })

const onExpress = express()
onExpress.use(limitExpress(bounds, { keys: { user: (request: Request) => request.get('x-user') } }))
onExpress.get('/', (_request, response) => void response.send('Express'))
const first = onExpress.listen(0, '127.0.0.1')

const onFastify = fastify()
await onFastify.register(
  limitFastify(bounds, {
    keys: { user: (request: FastifyRequest) => request.headers['x-user']?.toString() },
  }),
)
onFastify.get('/', async () => 'Fastify')
const second = await onFastify.listen({ port: 0, host: '127.0.0.1' })

const onHono = new Hono()
onHono.use(limitHono(bounds, { keys: { user: (context: Context) => context.req.header('x-user') } }))
onHono.get('/', (context) => context.text('Hono'))
const third = serve({ fetch: onHono.fetch, port: 0, hostname: '127.0.0.1' })

const portOf = (server: { address(): unknown }) => (server.address() as { port: number }).port
if (!third.listening) await new Promise((resolve) => third.once('listening', resolve))
for (const origin of [`http://127.0.0.1:${portOf(first)}`, second, `http://127.0.0.1:${portOf(third)}`]) {
  const response = await fetch(origin, { headers: { 'x-user': 'ann' } })
  console.log(await response.text(), response.headers.get('ratelimit')?.replace(/;t=.*/, ''))
}
first.close()
await onFastify.close()
third.close()
