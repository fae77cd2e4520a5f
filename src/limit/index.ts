// spillway/limit: limits at the HTTP door, who stands there, and who heeds the limits of others.
export { type AddressOptions, addressKey, canonicalAddress } from './address/canonical.ts'
export { addressRanges, type RangesOptions } from './address/ranges.ts'
export {
  type AddressedRequest,
  type ForwardedHeader,
  type TrustedProxyOptions,
  trustedProxies,
} from './address/trusted-proxies.ts'
export { type BackOffOptions, backOff } from './http/client/back-off.ts'
export type { Send, SendInit } from './http/client/send.ts'
export { keyText } from './key-text.ts'
