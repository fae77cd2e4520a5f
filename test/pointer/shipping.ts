// Two contexts for tests: orders owns its orders and says that one was shipped; delivery fetches them. In between a door that counts and that can be shut.
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { call, context, event, pointer, type Service, service, unchecked } from '../../src/index.ts'
import { MemoryTable, memoryDatabase } from '../../src/testing/index.ts'
import type { AnyService } from '../../src/topology/service.ts'

export interface Order {
  readonly orderId: string
  readonly version: number
  readonly state: string
}

export const orders = context('orders', {
  events: {
    shipped: pointer({ key: 'orderId', fetch: 'getOrder' }),
    viewed: event({ data: unchecked<{ page: string }>(), key: ({ page }) => page }),
  },
  calls: {
    getOrder: call({
      input: unchecked<{ orderId: string }>(),
      output: unchecked<Order>(),
      errors: { gone: unchecked<{ version: number }>() },
      deadline: '2s',
    }),
  },
})

export type Orders = MemoryTable<Order>

export interface Selling {
  readonly service: Service<Orders>
  readonly table: Orders
  /** By key: how often it was asked for. */
  readonly asked: Map<string, number>
}

/** The owner; its table outlives it. */
export function selling(table: Orders = new MemoryTable<Order>()): Selling {
  const asked = new Map<string, number>()
  const seller = service(orders, { database: memoryDatabase({ db: table }) }).answer(
    orders.calls.getOrder,
    ({ orderId }, { db, fail }) => {
      asked.set(orderId, (asked.get(orderId) ?? 0) + 1)
      const order = db.get(orderId)
      if (!order || order.state === 'gone') return fail('gone', { version: order?.version ?? 0 })
      return order
    },
  )
  return { service: seller, table, asked }
}

/** Changes an order and says so, as its owner does. */
export function change(tx: { db: Orders; publish: Publish }, orderId: string, state: string): number {
  const version = (tx.db.get(orderId)?.version ?? 0) + 1
  tx.db.set(orderId, { orderId, version, state })
  tx.publish(orders.events.shipped, { orderId, version })
  return version
}

type Publish = (of: typeof orders.events.shipped, data: { orderId: string; version: number }) => void

/** What a consumer saw. */
export interface Seen {
  readonly orderId: string
  readonly wanted: number
  readonly shown: number | 'gone'
  readonly attempt: number
}

export interface Delivering {
  readonly service: AnyService
  readonly seen: Seen[]
  readonly pages: string[]
}

export function delivering(name: string, options: { readonly coalesce?: boolean } = {}): Delivering {
  const seen: Seen[] = []
  const pages: string[] = []
  const courier = service(context(name, {}), {
    database: memoryDatabase({ db: new MemoryTable<number>() }),
    concurrency: 50,
  })
    .on(
      orders.events.shipped,
      async ({ data, current }, { attempt, commit }) => {
        const shown = current.state === 'gone' ? current.state : current.version
        await commit()
        seen.push({ orderId: data.orderId, wanted: data.version, shown, attempt })
      },
      { onFailure: 'skip', retry: { attempts: 1 }, ...options },
    )
    .on(orders.events.viewed, ({ data }) => {
      pages.push(data.page)
    })
  return { service: courier, seen, pages }
}

/** Stands before the owner at one address: counts what comes, and refuses it while it is shut. */
export class Door {
  readonly #server: Server
  #to: string | undefined
  passed = 0
  refused = 0

  private constructor() {
    this.#server = createServer((incoming, answer) => {
      if (this.#to === undefined) {
        this.refused += 1
        incoming.socket.destroy()
        return
      }
      this.passed += 1
      const target = new URL(incoming.url ?? '/', this.#to)
      const { method, headers } = incoming
      const onward = httpRequest(target, { method, headers, agent: false }, (back) => {
        answer.writeHead(back.statusCode ?? 502, back.headers)
        back.pipe(answer)
      })
      onward.on('error', () => incoming.socket.destroy())
      incoming.pipe(onward)
    })
  }

  static async build(): Promise<Door> {
    const door = new Door()
    await new Promise<void>((resolve) => door.#server.listen(0, '127.0.0.1', resolve))
    return door
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Leads there from now on; undefined shuts it, also for what is under way. */
  lead(to: string | undefined): void {
    this.#to = to
    if (to === undefined) this.#server.closeAllConnections()
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}
