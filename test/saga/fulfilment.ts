// A business with a saga, on databases and an engine of the test's choice: an order is reserved, charged in parts, weighed parcel by parcel, packed; or undone.
import {
  context,
  event,
  queue,
  type Report,
  run,
  saga,
  service,
  topology,
  unchecked,
} from '../../src/index.ts'
import type { DatabaseSource } from '../../src/ports/database.ts'

interface Order {
  readonly invoice: string
  /** How long the payment may take. */
  readonly patience: '500ms' | '15m'
}
interface Waiting {
  readonly invoice: string
  readonly charges: number
  readonly parcels: number
}
const order = unchecked<Order>()
const invoice = unchecked<{ readonly invoice: string }>()
const parcel = unchecked<{ readonly invoice: string; readonly parcel: string }>()
const by = ({ invoice }: { readonly invoice: string }) => invoice

export const shop = context('shop', {
  events: {
    placed: event({ data: order, key: (o) => o.invoice }),
    cancelled: event({ data: invoice, key: (i) => i.invoice }),
  },
})
export const bank = context('bank', {
  events: { charged: event({ data: invoice, key: (i) => i.invoice }) },
  queues: { charge: queue({ data: order }), refund: queue({ data: order }) },
})
export const store = context('store', {
  // Parcels of one order are of different keys: they come at the same time, in different processes.
  events: {
    packed: event({ data: invoice, key: (i) => i.invoice }),
    weighed: event({ data: parcel, key: (p) => p.parcel }),
  },
  queues: { reserve: queue({ data: order }), release: queue({ data: order }) },
})
const office = context('office', {})
const soon = { initial: '20ms', max: '200ms' } as const

export const fulfilment = saga('fulfilment', { state: unchecked<Waiting>() })
  .startedBy(shop.events.placed, { by }, (o, step) => {
    step.send(store.queues.reserve, o)
    step.compensate('reserved', store.queues.release, o)
    step.send(bank.queues.charge, o)
    step.compensate('charged', bank.queues.refund, o)
    step.timeout('payment', o.patience)
    return { invoice: o.invoice, charges: 0, parcels: 0 }
  })
  .on(bank.events.charged, { by, retry: soon }, (_, state, step) => {
    step.cancelTimeout('payment')
    return { ...state, charges: state.charges + 1 }
  })
  .on(store.events.weighed, { by, retry: soon }, (_, state) => ({ ...state, parcels: state.parcels + 1 }))
  .on(store.events.packed, { by, missing: 'ignore' }, (_, __, step) => step.end())
  .on(shop.events.cancelled, { by, retry: soon }, (_, __, step) => {
    step.undo()
    return step.end()
  })
  .onTimeout('payment', (_, step) => {
    step.forget('charged')
    step.undo()
    return step.end()
  })

/** Where a business is kept. */
export interface Kept {
  /** A url. */
  readonly engine: string
  /** The same for all services of a business, which share it. It has a place for what was done. */
  readonly database: DatabaseSource<unknown>
  /** Notes in the transaction of `db` what was done. */
  note(db: unknown, what: string): unknown
  /** What was noted and committed, in alphabetical order. */
  noted(): Promise<string[]>
  close(): Promise<void>
}

/** One process of the business, of which there may be several. */
export async function start(kept: Kept) {
  const { database, engine } = kept
  const reports: Report[] = []
  const timing = { database, lease: '3s', session: '3s' } as const
  const noting =
    (what: string) =>
    (
      { data }: { readonly data: Order },
      { commit }: { commit(work: (tx: { readonly db: unknown }) => unknown): Promise<unknown> },
    ) =>
      commit(({ db }) => kept.note(db, `${what} ${data.invoice}`))
  const shops = service(shop, timing)
  const banks = service(bank, timing)
    .work(bank.queues.charge, noting('charge'))
    .work(bank.queues.refund, noting('refund'))
  const stores = service(store, timing)
    .work(store.queues.reserve, noting('reserve'))
    .work(store.queues.release, noting('release'))
  const offices = service(office, timing).saga(fulfilment)
  const running = await run(topology({ contexts: [shops, banks, stores, offices], engine, partitions: 4 }), {
    onReport: (report) => reports.push(report),
  })
  const { placed, cancelled } = shop.events
  const { packed, weighed } = store.events
  return {
    running,
    instances: running.service(offices).saga(fulfilment),
    codes: () => reports.map(({ error }) => error.code),
    place: (id: string, patience: Order['patience'] = '15m') =>
      running.service(shops).transaction((tx) => tx.publish(placed, { invoice: id, patience })),
    cancel: (id: string) =>
      running.service(shops).transaction((tx) => tx.publish(cancelled, { invoice: id })),
    charge: (id: string) =>
      running.service(banks).transaction((tx) => tx.publish(bank.events.charged, { invoice: id })),
    weigh: (id: string, parcel: string) =>
      running.service(stores).transaction((tx) => tx.publish(weighed, { invoice: id, parcel })),
    pack: (id: string) => running.service(stores).transaction((tx) => tx.publish(packed, { invoice: id })),
  }
}

export type Business = Awaited<ReturnType<typeof start>>
