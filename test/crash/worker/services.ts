// Those who handle: each has one effect for a message, and most send a follow-up message through their outbox.
import { setTimeout as delay } from 'node:timers/promises'
import type { HandlerContext } from '../../../src/index.ts'
import { service } from '../../../src/index.ts'
import type { Tx } from '../../../src/transaction/unit.ts'
import type { Numbered } from '../contexts.ts'
import { databaseOf, runAlone, type Setting, type Work } from './setting.ts'

type Handler = (message: { readonly data: Numbered }, context: HandlerContext<unknown>) => Promise<void>

/** How often a handler throws before its commit, and after it. */
const failing = 0.01

/** Waits as for something outside, has its effect with `more` in one commit, and sometimes fails. */
export function effect(
  setting: Setting,
  channel: string,
  more: (tx: Tx<unknown>, data: Numbered) => void,
): Handler {
  const { random, effects } = setting
  return async ({ data }, { commit }) => {
    await delay(random.between(0, 15))
    if (random.chance(failing)) throw new Error('planned, before the commit')
    await commit((tx) => {
      more(tx, data)
      return effects.record(tx.db, channel, data)
    })
    if (random.chance(failing)) throw new Error('planned, after the commit')
  }
}

export const nothing = (): void => {}

/** Handles jobs, and sends a parcel for each. */
export function intake(setting: Setting): Promise<Work> {
  const { intake, dispatch } = setting.contexts
  const handler = effect(setting, 'jobs', (tx, data) => tx.send(dispatch.queues.parcels, data))
  return work(setting, service(intake, options(setting)).work(intake.queues.jobs, handler))
}

export function dispatch(setting: Setting): Promise<Work> {
  const { dispatch } = setting.contexts
  const handler = effect(setting, 'parcels', nothing)
  return work(setting, service(dispatch, options(setting)).work(dispatch.queues.parcels, handler))
}

/** How often everything that is parked is let go of. */
const unparkEveryMs = 700

/**
 * Handles orders and readings, and publishes an entry for each, in a handler and in a commit. An order that fails once is parked,
 * with those behind it of its key, and let go of a little later: in its order, whoever dies meanwhile.
 */
export async function ledger(setting: Setting): Promise<Work> {
  const { orders, meter, ledger } = setting.contexts
  const publish = (tx: Tx<unknown>, data: Numbered) => tx.publish(ledger.events.entered, data)
  const onReading = effect(setting, 'read', nothing)
  const books = service(ledger, options(setting))
    .on(orders.events.placed, effect(setting, 'placed', publish), {
      onFailure: 'park',
      retry: { attempts: 1 },
    })
    .on(meter.events.read, (message, context) => {
      context.publish(ledger.events.entered, message.data)
      return onReading(message, context)
    })
  const running = await runAlone(setting, books)
  const stopping = new AbortController()
  const letGo = (async () => {
    while (!stopping.signal.aborted) {
      // Away for a while: everything that is parked is asked for again the next time.
      await running
        .service(books)
        .group(orders)
        .unpark()
        .catch(() => {})
      await delay(unparkEveryMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  })()
  const stop = async () => {
    stopping.abort()
    await letGo
    await running.stop()
  }
  return { hush: async () => {}, stop }
}

export function audit(setting: Setting): Promise<Work> {
  const { ledger, audit } = setting.contexts
  return work(
    setting,
    service(audit, options(setting)).on(ledger.events.entered, effect(setting, 'entered', nothing)),
  )
}

export function options(setting: Setting) {
  const { leaseMs, sessionMs } = setting.spec
  return { database: databaseOf(setting), lease: leaseMs, session: sessionMs }
}

export async function work(setting: Setting, of: Parameters<typeof runAlone>[1]): Promise<Work> {
  const running = await runAlone(setting, of)
  return { hush: async () => {}, stop: () => running.stop() }
}
