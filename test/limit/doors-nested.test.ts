// Requests that come by two doors, one behind the other, and by a door where nobody sees the end of a response.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Hono } from 'hono'
import { expect, test, vi } from 'vitest'
import { limitHono } from '../../src/limit/http/door/hono.ts'
import { limitNode } from '../../src/limit/http/door/node.ts'
import { limits } from '../../src/limit/limits.ts'
import { listen } from './listen.ts'

const work = { rules: { work: { atOnce: 1 } } } as const

test('both give back their places', async () => {
  const all = [limits(work), limits(work)] as const
  const [outer, inner] = [limitNode(all[0]), limitNode(all[1])]
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if ((await outer(request, response)) && (await inner(request, response))) response.end('done')
  }
  const origin = await listen((request, response) => void handle(request, response))
  for (let i = 0; i < 3; i++)
    await vi.waitFor(async () => expect((await fetch(origin)).status).toBe(200), {
      timeout: 10_000,
    })
  await vi.waitFor(() => expect(all.map((each) => each.decide({ cost: 1 }).allowed)).toEqual([true, true]), {
    timeout: 10_000,
  })
})

test('on Hono without a server the end of each door is that of its handler', async () => {
  const all = [limits(work), limits(work)] as const
  const app = new Hono()
  for (const each of all) app.use(limitHono(each))
  app.get('/', (context) => context.text('done'))
  for (let i = 0; i < 3; i++) expect((await app.request('/')).status).toBe(200)
  expect(all.map((each) => each.decide({}).allowed)).toEqual([true, true])
})
