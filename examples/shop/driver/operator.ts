// What a person does about what only a person can mend, once the machines have done the rest.
import { setTimeout as sleep } from 'node:timers/promises'
import { noteAddress } from '../delivery/tables.ts'
import { inventory } from '../inventory/contract.ts'
import { notifications } from '../notifications/contract.ts'
import type { Shop } from '../shop.ts'
import type { Running } from '../spillway.ts'
import type { PushService } from './push-service.ts'

export interface Mended {
  /** Orders that waited for an address. */
  readonly addressed: number
  /** Pushes that were refused, and went out after the shop was registered. */
  readonly redriven: number
}

export async function mend(
  running: Running,
  shop: Shop,
  pushService: PushService,
  signal: AbortSignal,
): Promise<Mended> {
  const addressed = await findAddresses(running, shop, signal)
  pushService.register()
  const redriven = await running.queue(notifications.queues.push).redriveAll({ reason: /^403 / })
  await running.drained({ signal })
  return { addressed, redriven }
}

/** Asks the customers of parked orders where they live (all of them at home), and lets their orders go. */
async function findAddresses(running: Running, { delivery }: Shop, signal: AbortSignal): Promise<number> {
  const service = running.service(delivery)
  const group = service.group(inventory)
  const parked = await group.parked()
  if (parked.length === 0) return 0
  await service.transaction(({ db }) => {
    for (const { key = '' } of parked) noteAddress(db, key, 'United Kingdom')
  })
  await group.unpark()
  while ((await group.parked()).length > 0) await sleep(20, undefined, { signal })
  return parked.length
}
