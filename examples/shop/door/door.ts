// The shop's door to the web: orders come in by POST, within the limits of limits.yaml. What these put off is answered 202, and handed in later.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { checkout } from '../checkout/contract.ts'
import { type OnReport, type Retry, type RunningService, retry, type Spillway } from '../spillway.ts'
import {
  type DeferredResult,
  deferral,
  deferredQueue,
  limitNode,
  limits,
  loadRules,
  type Rules,
  sqliteDeferStore,
} from '../spillway-limit.ts'

const rulesFile = fileURLToPath(new URL('../limits.yaml', import.meta.url))
const maxBodyBytes = 2 ** 20

export interface DoorOptions {
  /** Where it notes what became of the orders that it put off. */
  readonly folder: string
  /** Has the queue for them. */
  readonly spillway: Spillway
  /** In whose name the checkout is asked. */
  readonly asking: Pick<RunningService<unknown>, 'call'>
  /** The customers by their API keys. */
  readonly accounts: ReadonlyMap<string, string>
  /** Default: those of limits.yaml. */
  readonly rules?: Rules
  readonly onReport?: OnReport
}

export interface Door extends AsyncDisposable {
  readonly url: string
  close(): Promise<void>
}

export async function openDoor(options: DoorOptions): Promise<Door> {
  const { folder, spillway, asking, accounts, onReport } = options
  const bounds = limits({ rules: options.rules ?? (await loadRules(rulesFile)), keys: { customer: true } })
  const states = new DatabaseSync(join(folder, 'door.sqlite'), { timeout: 5_000 })
  states.exec('PRAGMA journal_mode = WAL')
  const queue = await spillway.queue('late-orders', deferredQueue())
  const store = sqliteDeferStore(states)
  // Two orders of one customer wait at most: with the third he has to come again.
  const late = deferral({ queue, store, limits: bounds, perOwner: 2, maxBodyBytes })

  const customerOf = ({ headers }: IncomingMessage) => accounts.get(String(headers['x-api-key']))
  const door = limitNode(bounds, {
    keys: { customer: customerOf },
    // In front stands what ends TLS, and says for whom it asks.
    trustedProxies: ['127.0.0.0/8'],
    // What is only put off need not be told of: no customer shall wait before he orders.
    show: ['address'],
    refund: (status) => status >= 500,
    defer: late,
  })

  /** An order is taken once for each key of a customer's, whether it is let in or was put off. */
  const handIn = async (body: string, customer: string | undefined, key: string) => {
    // A key is one of its customer: nobody's is in another's way.
    const scoped = createHash('sha256')
      .update(JSON.stringify([customer, key]))
      .digest('hex')
    const result = await asking.call(checkout.calls.handIn, JSON.parse(body), { key: scoped })
    if (result.status === 'ok') return { status: 200, body: JSON.stringify(result.value) }
    if (result.status === 'failed' && !result.error.retryable)
      return { status: 422, body: result.error.message }
    return retry({ after: '200ms', reason: 'the checkout did not answer' })
  }

  const server = createServer(async (request, response) => {
    try {
      if (!(await door(request, response))) return
      const key = request.headers['idempotency-key']
      if (request.method !== 'POST' || request.url !== '/orders') end(response, { status: 404 })
      else if (typeof key !== 'string') end(response, { status: 400, body: 'Idempotency-Key is missing.' })
      else end(response, await handIn(await bodyOf(request), customerOf(request), key))
    } catch (thrown) {
      end(response, { status: thrown instanceof SyntaxError ? 400 : 500 })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const consumer = queue.consume(
    late.workOff(
      ({ body, headers, id, subject }) =>
        handIn(body, subject.customer as string | undefined, headers['idempotency-key'] ?? id),
      // It has been a while: whoever has closed his account meanwhile orders no more.
      {
        authorize: ({ subject: { customer } }) =>
          customer === undefined || [...accounts.values()].includes(String(customer)),
      },
    ),
    { concurrency: 2, ...(onReport && { onReport }) },
  )
  const close = async () => {
    server.close()
    server.closeAllConnections()
    await consumer.stop()
    states.close()
  }
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, close, [Symbol.asyncDispose]: close }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBodyBytes) throw new SyntaxError('The order is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function end(response: ServerResponse, result: DeferredResult | Retry | { readonly status: number }): void {
  if (response.headersSent) return
  if ('outcome' in result) response.writeHead(503, { 'Retry-After': '1' }).end()
  else response.writeHead(result.status).end('body' in result ? result.body : '')
}
