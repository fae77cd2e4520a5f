// What `spillway check` and `spillway up` read: the shop on the folder, the mail server and the push service that the environment names, and
// where each context is asked when it runs in a process of its own: SHOP_ADDRESSES='{"inventory":["http://127.0.0.1:7001"]}'.
import { fileURLToPath } from 'node:url'
import { phoneOf } from './driver/phones.ts'
import { openPostOffice } from './driver/post-office.ts'
import { openPushService } from './driver/push-service.ts'
import { shop } from './shop.ts'

const { SHOP_DATA, SMTP_URL, PUSH_URL, SHOP_ADDRESSES } = process.env
const pushUrl = PUSH_URL ?? (await openPushService()).url

const { topology } = shop({
  folder: SHOP_DATA ?? fileURLToPath(new URL('../../data/shop', import.meta.url)),
  smtpUrl: SMTP_URL ?? (await openPostOffice()).url,
  phoneOf: (customer) => phoneOf(customer, pushUrl),
  addresses: SHOP_ADDRESSES === undefined ? undefined : JSON.parse(SHOP_ADDRESSES),
})
export default topology
