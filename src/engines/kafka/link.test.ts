// Connecting to servers that are too old, or no longer speak as we do: a server that only tells its versions.
import { Buffer } from 'node:buffer'
import { createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { kafka } from './engine.ts'

let server: Server | undefined
afterEach(() => server?.close())

/** Answers every request with this body. */
async function listen(body: Buffer): Promise<string> {
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (request) => {
      const answer = Buffer.concat([Buffer.alloc(4), request.subarray(8, 12), body])
      answer.writeInt32BE(answer.length - 4)
      socket.write(answer)
    })
  })
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
  return `kafka://127.0.0.1:${(server.address() as { port: number }).port}`
}

/** An ApiVersions answer, version 3, in which every request has the same range. */
function versions(min: number, max: number): Buffer {
  const keys = Array.from({ length: 60 }, (_, key) => key)
  const entries = keys.map((key) => {
    const entry = Buffer.alloc(7)
    for (const [index, value] of [key, min, max].entries()) entry.writeInt16BE(value, 2 * index)
    return entry
  })
  const head = Buffer.from([0, 0, keys.length + 1])
  return Buffer.concat([head, ...entries, Buffer.alloc(5)])
}

test('a broker that is too old is named as such, with the version that it takes', async () => {
  const url = await listen(versions(0, 3))
  await expect(kafka({ url })).rejects.toMatchObject({
    code: 'ENGINE_TOO_OLD',
    retryable: false,
    message: expect.stringContaining('Kafka 3.0 or newer'),
  })
})

test('so is one that does not even know how we ask', async () => {
  // UNSUPPORTED_VERSION, and in the oldest format the versions of ApiVersions alone.
  const url = await listen(Buffer.from([0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 2]))
  await expect(kafka({ url })).rejects.toMatchObject({ code: 'ENGINE_TOO_OLD' })
})

test('over TLS the broker is told which host was meant, as proxies before brokers need it', async () => {
  const hello = Promise.withResolvers<Buffer>()
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (bytes) => {
      hello.resolve(bytes)
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server!.listen(0, 'localhost', resolve))
  const { port } = server.address() as { port: number }
  const opening = kafka({ url: `kafka://localhost:${port}`, tls: true, timeoutMs: 500 })
  await expect(opening).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  // The name stands in the client's first message in clear.
  expect((await hello.promise).includes('localhost')).toBe(true)
})

test('a broker that gave up our versions is not called too old', async () => {
  const url = await listen(versions(20, 30))
  await expect(kafka({ url })).rejects.toMatchObject({
    code: 'ENGINE_FAILED',
    message: expect.stringContaining('newer Spillway'),
  })
})
