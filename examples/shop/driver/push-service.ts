// A push service of our own, so that the shop needs none. It has the moods of the real ones: now and then it is busy, some phones are
// gone for ever, and the phones of one maker take messages only from senders that have been registered by hand.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { isSigned, openPush } from './push-message.ts'

export interface PushService {
  /** 'http://127.0.0.1:port'. A phone is under it by its customer. */
  readonly url: string
  /** The messages that were taken, each once, as the phones read them. */
  readonly messages: ReadonlySet<string>
  /** From now on the careful phones take messages too. */
  register(): void
  close(): Promise<void>
}

const isGonePhone = (customer: string) => Number(customer) % 10 === 7
const isCarefulPhone = (customer: string) => Number(customer) % 10 === 4
/** Every so many requests it is busy. */
const busyEvery = 20

/** Listens on a free port of this machine; does not keep the process alive. */
export async function openPushService(): Promise<PushService> {
  const messages = new Set<string>()
  let registered = false
  let requests = 0
  let url = ''

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request)
    const say = (status: number, text = '', headers = {}) =>
      void response.writeHead(status, headers).end(text)
    const customer = request.url?.slice(1) ?? ''
    const { authorization = '', ttl, 'content-encoding': encoding } = request.headers
    if (encoding !== 'aes128gcm' || ttl === undefined) return say(400, 'Not a web push.')
    if (!isSigned(authorization, url)) return say(401, 'Who are you?')
    if (isGonePhone(customer)) return say(410, 'Gone')
    if (isCarefulPhone(customer) && !registered) return say(403, 'The sender is not registered.')
    requests += 1
    if (requests % busyEvery === 0) return say(429, 'Busy', { 'retry-after': '1' })
    messages.add(openPush(customer, body))
    say(201)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(400).end('It cannot be opened.'))
  })
  server.keepAliveTimeout = 60_000 // senders keep their connections, also through a slow moment
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    messages,
    register: () => {
      registered = true
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
