import { mkdtempSync, rmSync } from 'node:fs'
import { request as ask, createServer, type IncomingMessage, type Server } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { clientAddresses } from '../../../scripts/client-addresses.ts'
import { SpillwayError } from '../../core/errors.ts'
import { type AddressedRequest, type ForwardedHeader, trustedProxies } from './trusted-proxies.ts'

function requestOf(
  peer: string | null,
  lines: string | readonly string[],
  header: ForwardedHeader = 'x-forwarded-for',
): AddressedRequest {
  return { socket: { remoteAddress: peer ?? undefined, destroyed: false }, headers: { [header]: lines } }
}

describe('the published vectors', () => {
  for (const { title, rows } of clientAddresses.clients)
    test.each(rows)(`${title}: $lines by $peer is $client ($from)`, (row) => {
      const { trusted, peer, lines, client, header = 'x-forwarded-for' } = row
      const addressOf = trustedProxies(trusted, { header })
      expect(addressOf(requestOf(peer, lines, header))).toBe(client ?? undefined)
      // As node:http hands lines on.
      expect(addressOf(requestOf(peer, lines.join(', '), header))).toBe(client ?? undefined)
      // The header that was not chosen is never read.
      const other = header === 'forwarded' ? 'x-forwarded-for' : 'forwarded'
      expect(addressOf(requestOf(peer, lines, other))).toBe(addressOf(requestOf(peer, [], header)))
    })
})

const proxy = fc.constantFrom('10.0.0.1', '10.9.9.9', '::ffff:10.1.1.1', '2001:db8:aa::1')
const outside = fc.constantFrom('203.0.113.7', '198.51.100.9', '2001:db8:bb::1')
const noAddress = fc.constantFrom('', 'unknown', '_x', 'unix:', '010.0.0.1', '1.2.3.4.5', '[::1')
const trusted = ['10.0.0.0/8', '2001:db8:aa::/48']
const asNode = (text: string) => (text.includes(':') ? `"[${text}]"` : text)

test('the walk is that of a model which splits and turns round', () => {
  const entries = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: proxy },
      { weight: 1, arbitrary: outside },
      { weight: 1, arbitrary: noAddress },
    ),
    { minLength: 1, maxLength: 6 },
  )
  const addressOf = trustedProxies(trusted, { maxProxies: 4 })
  const plain = (text: string) => text.replace('::ffff:', '')
  fc.assert(
    fc.property(proxy, entries, (peer, list) => {
      fc.pre(list.join('').trim() !== '')
      const isProxy = (text: string) => /^(?:10\.|2001:db8:aa:)/.test(text)
      const fromRight = list.map(plain).reverse()
      const passed = fromRight.findIndex((text) => !isProxy(text))
      const found = passed < 0 ? fromRight.at(-1) : fromRight[passed]
      const unknown = (passed < 0 ? list.length > 4 : passed >= 4) || !/^(?:10|203|198|2001)[.:]/.test(found!)
      expect(addressOf(requestOf(peer, list.join(', ')))).toBe(unknown ? undefined : found)
    }),
    { numRuns: 2000 },
  )
})

test('nothing that stands to the left of what a trusted proxy wrote changes who the client is', () => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'for=",;\\ 10.2:[]_a'), maxLength: 60 }),
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom('x'.repeat(5000), ','.repeat(5000), '"'.repeat(5001), '10.0.0.1,'.repeat(500)),
  )
  const own = fc.constantFrom('', ';host="a\\",for=192.0.2.1,\\\\"', ';host="a,b;c"', ' ; proto=https')
  fc.assert(
    fc.property(text, outside, fc.array(proxy, { maxLength: 3 }), own, (left, client, proxies, more) => {
      const row = [client, ...proxies]
      const expected = client
      expect(trustedProxies(trusted)(requestOf('10.0.0.1', `${left},${row.join(', ')}`))).toBe(expected)
      const elements = row.map((each) => `for=${asNode(each)}${more}`)
      const forwarded = trustedProxies(trusted, { header: 'forwarded' })
      expect(forwarded(requestOf('10.0.0.1', `${left},${elements.join(', ')}`, 'forwarded'))).toBe(expected)
    }),
    { numRuns: 2000 },
  )
})

test('an entry has a bound, and what is before the bound is read', () => {
  const forwarded = trustedProxies(trusted, { header: 'forwarded' })
  const by = (host: number) =>
    forwarded(requestOf('10.0.0.1', `for=192.0.2.1, host="${'x'.repeat(host)}";for=203.0.113.7`, 'forwarded'))
  expect(by(16_000)).toBe('203.0.113.7')
  expect(by(17_000)).toBeUndefined()
  expect(trustedProxies(trusted)(requestOf('10.0.0.1', `x${' '.repeat(1_000_000)}x`))).toBeUndefined()
})

test('nothing throws, whatever a header is', () => {
  const lines = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.array(fc.string({ unit: fc.constantFrom(...'for="\\,; 10.2:[]'), maxLength: 40 }), { maxLength: 4 }),
  )
  for (const header of ['x-forwarded-for', 'forwarded'] as const) {
    const addressOf = trustedProxies(['10.0.0.0/8'], { header })
    fc.assert(fc.property(lines, (each) => void addressOf(requestOf('10.0.0.1', each, header))))
    for (const odd of [null, 7, {}, undefined, [undefined], [7]])
      expect(() => addressOf(requestOf('10.0.0.1', odd as never, header))).not.toThrow()
    expect(addressOf({} as AddressedRequest)).toBeUndefined()
  }
})

test.each<{ proxies: unknown; options?: unknown; message: RegExp }>([
  { proxies: true, message: /list of ranges.*believes what a client writes/ },
  { proxies: 1, message: /list of ranges.*number of hops/ },
  { proxies: [2], message: /number of hops/ },
  { proxies: ['loopback'], message: /Write '127\.0\.0\.0\/8', '::1\/128'/ },
  { proxies: ['10.0.0.1/8'], message: /trustedProxies: '10\.0\.0\.1\/8'.*Write '10\.0\.0\.0\/8'/ },
  { proxies: ['0.0.0.0/0'], message: /every address/ },
  { proxies: [], options: { header: 'x-real-ip' }, message: /'x-forwarded-for' or 'forwarded'/ },
  { proxies: [], options: { header: 'toString' }, message: /'x-forwarded-for' or 'forwarded'/ },
  { proxies: [], options: { maxProxies: 0 }, message: /from 1 to 1,000/ },
  { proxies: [], options: { hops: 1 }, message: /no option `hops`/ },
])('refuses $proxies $options', ({ proxies, options, message }) => {
  const refused = () => trustedProxies(proxies as string[], options as object)
  expect(refused).toThrow(SpillwayError)
  expect(refused).toThrow(message)
})

describe('with real servers', () => {
  const servers: Server[] = []
  const folders: string[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    }
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
  })

  function listen(where: string | number, seen: (request: IncomingMessage) => void): Promise<Server> {
    const server = createServer((request, response) => {
      seen(request)
      response.end()
    })
    servers.push(server)
    return new Promise((done) => {
      if (typeof where === 'string') server.listen(where, () => done(server))
      else server.listen(where, '127.0.0.1', () => done(server))
    })
  }

  function answered(options: object, headers: readonly string[]): Promise<void> {
    return new Promise((done, failed) => {
      ask({ ...options, headers }, (response) => response.resume().on('end', done))
        .on('error', failed)
        .end()
    })
  }

  const fromLocal = trustedProxies(['127.0.0.0/8'])
  const fromUnix = trustedProxies(['unix'])

  test('two lines of a header over TCP, and a request of its own', async () => {
    const clients: unknown[] = []
    const server = await listen(0, (request) => clients.push(fromLocal(request), fromUnix(request)))
    const { port } = server.address() as AddressInfo
    const lines = [
      'Host',
      'x',
      'X-Forwarded-For',
      '198.51.100.9',
      'X-Forwarded-For',
      '203.0.113.7, 127.0.0.2',
    ]
    await answered({ port, host: '127.0.0.1' }, lines)
    await answered({ port, host: '127.0.0.1' }, ['Host', 'x'])
    expect(clients).toEqual(['203.0.113.7', '127.0.0.1', '127.0.0.1', '127.0.0.1'])
  })

  test.skipIf(process.platform === 'win32')(
    'a unix socket has no address, and is believed only by name',
    async () => {
      const clients: unknown[] = []
      const folder = mkdtempSync(join(tmpdir(), 'unix-'))
      folders.push(folder)
      const socketPath = join(folder, 's')
      await listen(socketPath, (request) => clients.push(fromLocal(request), fromUnix(request)))
      await answered({ socketPath }, ['Host', 'x', 'X-Forwarded-For', '203.0.113.7'])
      await answered({ socketPath }, ['Host', 'x'])
      expect(clients).toEqual([undefined, '203.0.113.7', undefined, undefined])
    },
  )

  test('who has gone from TCP is not taken for a unix socket', async () => {
    const clients: unknown[] = []
    const server = await listen(0, (request) => {
      // Before anything asked for the address, which the socket remembers.
      request.socket.destroy()
      clients.push(request.socket.remoteAddress, fromUnix(request))
    })
    // A reset after the request: the socket is not destroyed yet, and the system knows no peer any more.
    const reset: unknown[] = []
    server.on('connection', (socket) => {
      Object.defineProperty(socket, 'remoteAddress', { get: () => undefined })
      reset.push(
        fromUnix({ socket, headers: { 'x-forwarded-for': '203.0.113.7' } }),
        socket.localAddress,
        socket.destroyed,
      )
    })
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => undefined)
    client.write('GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n')
    await vi.waitFor(() => expect(clients).toEqual([undefined, undefined]), 20_000)
    expect(reset).toEqual([undefined, '127.0.0.1', false])
    client.destroy()
  })

  test('requests of node:http and node:http2 fit', () => {
    const asked: (request: IncomingMessage | Http2ServerRequest) => string | undefined = trustedProxies([])
    expect(asked).toBeTypeOf('function')
  })
})
