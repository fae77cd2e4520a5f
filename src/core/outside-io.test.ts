import { once } from 'node:events'
import { createServer, get, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { watchOutsideIo, withoutWatch } from './outside-io.ts'

let server: Server
let url: string

beforeAll(async () => {
  server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function seen(work: () => Promise<unknown>): Promise<string[]> {
  const started: string[] = []
  await watchOutsideIo((what) => started.push(what), work)
  return started
}

const call = async () => (await fetch(`${url}/a?token=secret`)).text()

test('a fetch is noticed, also over a connection that is open already, and named without its query', async () => {
  await call()
  expect((await seen(call))[0]).toBe(`the request GET ${url}/a`)
})

test('requests of node:http are noticed', async () => {
  const work = () =>
    new Promise<void>((resolve) => get(`${url}/b?x=1`, (response) => response.resume().on('end', resolve)))
  expect(await seen(work)).toContainEqual(
    expect.stringMatching(/^the request GET http:\/\/127\.0\.0\.1\S*\/b$/),
  )
})

test('connections are noticed', async () => {
  const { port } = new URL(url)
  const started = await seen(async () => {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  })
  expect(started).toEqual(['a network connection'])
})

test('what nobody awaits is noticed', async () => {
  let later: Promise<unknown> = Promise.resolve()
  const started = await seen(async () => {
    later = new Promise((resolve) => setTimeout(resolve, 5)).then(call)
  })
  await later
  expect(started.length).toBeGreaterThan(0)
})

test('what runs beside it, was started before, or is exempted is not noticed', async () => {
  const before = call()
  const started: string[] = []
  const inside = watchOutsideIo(
    (what) => started.push(what),
    async () => {
      await before
      await withoutWatch(call)
    },
  )
  await Promise.all([inside, call()])
  expect(started).toEqual([])
})
