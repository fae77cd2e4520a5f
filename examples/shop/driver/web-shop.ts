// The web shop's side of the checkout: an order that got no answer is handed in again with its key, until there is one.
import { setTimeout as delay } from 'node:timers/promises'
import { checkout } from '../checkout/contract.ts'
import type { RunningService } from '../spillway.ts'
import type { HandIn } from './send.ts'

const pauseMs = 200

/** `asking`: in whose name. */
export function webShop(asking: Pick<RunningService<unknown>, 'call'>, signal?: AbortSignal): HandIn {
  return async (invoice, key) => {
    for (;;) {
      const result = await asking.call(checkout.calls.handIn, invoice, { key })
      if (result.status === 'ok') return
      if (result.status === 'failed' && !result.error.retryable) throw result.error
      if (signal?.aborted) return
      await delay(pauseMs)
    }
  }
}
