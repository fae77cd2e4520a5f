// The workloads as bounded contexts. Every message carries its own number, so that the checker can follow it.
//
//   queue:   senders → intake.jobs → [intake] → outbox → dispatch.parcels → [dispatch]
//   stream:  [orders] → outbox → orders.placed ↘
//            appender →           meter.read   → [ledger] → outbox → ledger.entered → [audit]
//   outbox:  [shop] → outbox → shop.placed, delivery.parcels → [delivery]
import { context, event, queue, unchecked } from '../../src/index.ts'

/** What every message carries: `id` is `<key>-<number>`, the same in a follow-up message. */
export interface Numbered {
  readonly id: string
  readonly key: string
  readonly number: number
}

export function numbered(key: string, number: number): Numbered {
  return { id: `${key}-${number}`, key, number }
}

const data = unchecked<Numbered>()
const key = (message: Numbered) => message.key
// Starts are counted, and here every message may be started by many processes that are killed: no dead letters.
const retry = { attempts: 1_000_000, initial: '50ms', max: '500ms' } as const

/** The contexts of one run; `run` makes their names new on a server that other runs have used. */
export function contexts(run: string) {
  return {
    intake: context(`intake${run}`, { queues: { jobs: queue({ data, retry }) } }),
    dispatch: context(`dispatch${run}`, { queues: { parcels: queue({ data, retry }) } }),
    orders: context(`orders${run}`, { events: { placed: event({ data, key }) } }),
    meter: context(`meter${run}`, { events: { read: event({ data, key }) } }),
    ledger: context(`ledger${run}`, { events: { entered: event({ data, key }) } }),
    audit: context(`audit${run}`, {}),
    shop: context(`shop${run}`, { events: { placed: event({ data, key }) } }),
    delivery: context(`delivery${run}`, { queues: { parcels: queue({ data, key, retry }) } }),
  }
}

export type Contexts = ReturnType<typeof contexts>

export const partitions = 4
