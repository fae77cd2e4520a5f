// What customers are told: pushes are really encrypted and signed, every answer of the push service is a decision, reminders are called off.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { delivery } from '../../examples/shop/delivery/contract.ts'
import { phoneOf } from '../../examples/shop/driver/phones.ts'
import { openPushService, type PushService } from '../../examples/shop/driver/push-service.ts'
import { notifications, type Push } from '../../examples/shop/notifications/contract.ts'
import { pusher } from '../../examples/shop/notifications/pusher.ts'
import { notificationsService } from '../../examples/shop/notifications/service.ts'
import { payments } from '../../examples/shop/payments/contract.ts'
import { pictures } from '../../examples/shop/pictures/contract.ts'
import { draw } from '../../examples/shop/pictures/draw.ts'
import { picturesService } from '../../examples/shop/pictures/service.ts'
import { testService } from '../../src/testing/index.ts'

let folder: string
let service: PushService
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'news-'))
  service = await openPushService()
})
afterEach(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

/** By the last digit: 7 has thrown the phone away, 4 takes nothing from strangers. */
const [usual, gone, careful] = ['70', '77', '14']
const news = (customer: string, invoice = '1'): Push => ({
  customer,
  invoice,
  text: `Parcel ${invoice} left`,
})
const tested = () => {
  const options = { smtpUrl: 'smtp://127.0.0.1:9', phoneOf: (of: string) => phoneOf(of, service.url) }
  return testService(notificationsService({ folder, ...options }))
}

test('a push arrives as it was written, and only at the phone that it was written for', async () => {
  const { push } = pusher(join(folder, 'key.json'))
  const { signal } = new AbortController()
  const phone = phoneOf(usual, service.url)!
  expect(await push(phone, 'Grüße, 안녕', signal)).toEqual({ kind: 'delivered' })
  expect([...service.messages]).toEqual(['Grüße, 안녕'])
  const other = { ...phone, endpoint: `${service.url}/21` }
  expect(await push(other, 'secret', signal)).toEqual({ kind: 'refused', reason: '400 It cannot be opened.' })
  expect(service.messages.size).toBe(1)
})

test('a push that nobody signed, or for another service, is refused', async () => {
  const body = new Uint8Array(200)
  const headers = { ttl: '60', 'content-encoding': 'aes128gcm' }
  const forged = 'vapid t=e30.e30.AAAA, k=BAAA'
  for (const authorization of ['', forged]) {
    const answer = await fetch(`${service.url}/${usual}`, {
      method: 'POST',
      headers: { ...headers, authorization },
      body,
    })
    expect(answer.ok).toBe(false)
  }
  expect(service.messages.size).toBe(0)
})

test('every answer of the push service is a decision', async () => {
  await using told = await tested()
  const { push } = notifications.queues
  expect(await told.when(push, news(usual))).toMatchObject({ outcome: 'done' })
  expect(await told.when(push, news(gone))).toMatchObject({ outcome: 'done' })
  expect(told.db.prepare('SELECT customer FROM pushes').all()).toEqual([{ customer: usual }])
  expect(told.db.prepare('SELECT customer FROM gone_phones').all()).toEqual([{ customer: gone }])
  expect(await told.when(push, news(careful))).toMatchObject({
    outcome: 'dead-lettered',
    reason: '403 The sender is not registered.',
  })
  service.register()
  expect(await told.when(push, news(careful))).toMatchObject({ outcome: 'done' })
  // The service is busy at every twentieth request, and says when to come again.
  const ends = []
  for (let number = 1; number <= 20; number++) ends.push(await told.when(push, news(usual, String(number))))
  expect(ends.filter(({ outcome }) => outcome !== 'done')).toMatchObject([
    { outcome: 'retried', retryInMs: 1_000, reason: '429 Busy' },
  ])
})

test('only who has the app, and still has the phone, is told of a parcel', async () => {
  await using told = await tested()
  const parcel = { version: 1, invoice: '1', country: 'Malta', pieces: 3 }
  const shipped = async (customer: string | null) => {
    const current = { state: 'found', value: { ...parcel, customer } } as const
    const then = await told.when(delivery.events.orderShipped, { invoice: '1', version: 1 }, { current })
    return then.sent(notifications.queues.push)
  }
  expect(await shipped(usual)).toHaveLength(1)
  expect(await shipped(null)).toEqual([])
  expect(await shipped('31')).toEqual([])
  await told.given(notifications.queues.push, news(gone))
  expect(await shipped(gone)).toEqual([])
})

test('a payment calls its reminder off, and waits for it while it is on its way', async () => {
  await using told = await tested()
  const charged = { invoice: '1', customer: null, pence: 200_00 }
  const early = await told.when(payments.events.charged, charged, { cancels: 'unknown' })
  expect(early).toMatchObject({ outcome: 'retried', retryInMs: 200, messages: [] })
  const then = await told.when(payments.events.charged, charged)
  expect(then).toMatchObject({
    outcome: 'done',
    cancelled: [{ queue: 'notifications.reminder', id: 'reminder-1' }],
  })
  expect(then.sent(notifications.queues.receipt)).toHaveLength(1)
  const small = await told.when(payments.events.charged, { ...charged, invoice: '2', pence: 199_99 })
  expect(small).toMatchObject({ outcome: 'done', cancelled: [] })
  // After a crash it was cancelled before, and is never found.
  const late = await told.when(
    payments.events.charged,
    { ...charged, invoice: '3' },
    { cancels: 'unknown', attempt: 100 },
  )
  expect(late).toMatchObject({ outcome: 'done' })
})

test('a picture is a PNG of its range, the same every time, and is drawn once', async () => {
  await using drawn = await testService(picturesService(folder))
  await drawn.given(pictures.queues.thumbnail, { range: '851' })
  const row = drawn.db.prepare('SELECT range, png FROM thumbnails').get()
  expect(row).toEqual({ range: '851', png: new Uint8Array(await draw('851')) })
  const png = Buffer.from(row!.png as Uint8Array)
  expect(png.subarray(1, 4).toString()).toBe('PNG')
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([96, 96])
  expect(await draw('852')).not.toEqual(await draw('851'))
})
