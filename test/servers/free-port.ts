/** A loopback port nobody listens on, outside the range from which systems take the ports of outgoing connections. */
import { createServer } from 'node:net'

// Linux lends 32768–60999 and macOS 49152–65535 to outgoing connections. A server that is down between kill and
// restart must not find its port lent out, and a client that retries must not end up connected to itself.
const FIRST = 15_000
const LAST = 32_000

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) return port
  }
  throw new Error(`No free port was found between ${FIRST} and ${LAST}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}
