// The phones of the customers. Each has a key pair, which follows from the customer's number: so every process of the
// demonstration knows them, as a real shop knows what its customers' browsers have sent it.
import { createECDH, createHash, type ECDH } from 'node:crypto'
import type { Subscription } from '../notifications/pusher.ts'

/** One customer in seven has the app. */
const withApp = 7

export interface PhoneKeys {
  readonly ecdh: ECDH
  /** The secret that a phone shares with those who may push to it. */
  readonly auth: Buffer
}

export function hasApp(customer: string): boolean {
  return Number(customer) % withApp === 0
}

export function phoneKeys(customer: string): PhoneKeys {
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(digest(`the phone of customer ${customer}`))
  return { ecdh, auth: digest(`the secret of customer ${customer}`).subarray(0, 16) }
}

/** What a browser gives the shop when its user wants to be told. */
export function phoneOf(customer: string, pushUrl: string): Subscription | undefined {
  if (!hasApp(customer)) return undefined
  const { ecdh, auth } = phoneKeys(customer)
  const keys = { p256dh: ecdh.getPublicKey('base64url'), auth: auth.toString('base64url') }
  return { endpoint: `${pushUrl}/${customer}`, keys }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
