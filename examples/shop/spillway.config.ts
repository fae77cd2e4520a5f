// What `spillway check` and `spillway up` read: the shop on the folder and the mail server that the environment names.
import { fileURLToPath } from 'node:url'
import { openPostOffice } from './driver/post-office.ts'
import { shop } from './shop.ts'

const { SHOP_DATA, SMTP_URL } = process.env

const { topology } = shop({
  folder: SHOP_DATA ?? fileURLToPath(new URL('../../data/shop', import.meta.url)),
  smtpUrl: SMTP_URL ?? (await openPostOffice()).url,
})
export default topology
