// The customers on the web, each a client of its own: orders at the door, heeds what it is told there, and follows up what was put off.
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { Invoice } from '../orders/contract.ts'
import { backOff } from '../spillway-limit.ts'
import type { HandIn } from './send.ts'

export interface AtTheDoor {
  /** Orders that were let in at once. */
  readonly atOnce: number
  /** Orders that were put off, and done later. */
  readonly later: number
  /** Answers by which somebody was told to come again later, and how often an order was sent again. */
  readonly refused: number
  readonly sentAgain: number
}

export interface WebCustomers {
  readonly handIn: HandIn
  /** Resolves when every order that was put off is done; rejects when one failed. */
  done(): Promise<AtTheDoor>
}

type Client = (url: string, init: RequestInit) => Promise<Response>

const State = z.object({
  status: z.enum(['queued', 'done', 'failed', 'expired']),
  location: z.string(),
  result: z.object({ status: z.int(), body: z.string().optional() }).optional(),
})

const pauseMs = 200
const pollMs = 1_000

/** The customers who have an account, by their API keys; guests have none. */
export function accountsOf(invoices: readonly Invoice[]): Map<string, string> {
  const customers = invoices.map(customerOf).filter((customer) => customer !== undefined)
  return new Map(customers.map((customer) => [apiKeyOf(customer), customer]))
}

/** `url`: of the door. */
export function webCustomers(url: string, signal: AbortSignal): WebCustomers {
  const counts = { sent: 0, kept: 0, atOnce: 0, later: 0, refused: 0 }
  const clients = new Map<string, Client>()
  const putOff: Promise<void>[] = []

  const send = async (to: string, init?: RequestInit): Promise<Response> => {
    if (init?.method === 'POST') counts.sent += 1
    const response = await fetch(to, init)
    if (response.status === 429) counts.refused += 1
    return response
  }

  /** Each has its own: what one is told of limits the others do not know. */
  const clientOf = (name: string): Client => {
    const client = clients.get(name) ?? backOff(send)
    clients.set(name, client)
    return client
  }

  /** Asks for the state of an order until it has ended. */
  const follow = async (client: Client, headers: Record<string, string>, told: unknown): Promise<void> => {
    let state = State.parse(told)
    while (state.status === 'queued') {
      await delay(pollMs, undefined, { signal })
      const response = await client(url + state.location, { headers, signal })
      const text = await response.text()
      if (response.ok) state = State.parse(JSON.parse(text))
    }
    if (state.status !== 'done' || state.result?.status !== 200)
      throw new Error(`An order was put off and not done: ${JSON.stringify(state)}`)
    counts.later += 1
  }

  const handIn: HandIn = async (invoice, key) => {
    const client = clientOf(customerOf(invoice) ?? invoice.number)
    const who = headersOf(invoice)
    const headers = { ...who, 'content-type': 'application/json', 'idempotency-key': key }
    const order = { method: 'POST', headers, body: JSON.stringify(invoice), signal }
    for (;;) {
      // No answer, or a wait that is too long for one request: the same order is sent again, with its key.
      const response = await client(`${url}/orders`, order).catch(() => undefined)
      const text = await response?.text().catch(() => undefined)
      if (signal.aborted) return
      if (response !== undefined && text !== undefined) {
        if (response.ok) {
          counts.kept += 1
          if (response.status !== 202) counts.atOnce += 1
          else putOff.push(watched(follow(client, who, JSON.parse(text))))
          return
        }
        if (response.status !== 429 && response.status !== 503)
          throw new Error(`The order ${invoice.number} was refused: ${response.status} ${text}`)
      }
      await delay(pauseMs)
    }
  }

  return {
    handIn,
    async done() {
      await Promise.all(putOff)
      const { sent, kept, ...rest } = counts
      return { ...rest, sentAgain: sent - kept }
    },
  }
}

/** It is waited for later: until then nobody minds that it failed. */
function watched(promise: Promise<void>): Promise<void> {
  promise.catch(() => {})
  return promise
}

/** Undefined for a guest. */
function customerOf({ rows: [first] }: Invoice): string | undefined {
  const customer = first?.customer ?? ''
  return Number(customer) === 0 ? undefined : customer
}

/** Follows from the customer, as a real one does not. */
function apiKeyOf(customer: string): string {
  return `key-${digest(customer)}`
}

function headersOf(invoice: Invoice): Record<string, string> {
  const customer = customerOf(invoice)
  return {
    'x-forwarded-for': addressOf(invoice),
    ...(customer === undefined ? {} : { 'x-api-key': apiKeyOf(customer) }),
  }
}

/** All of a country share a /64: there are not many. */
function addressOf({ number, rows: [first] }: Invoice): string {
  const country = digest(first?.country ?? '').match(/^(.{4})(.{4})/)!
  return `2001:db8:${country[1]}:${country[2]}::${digest(number).slice(0, 4)}`
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
