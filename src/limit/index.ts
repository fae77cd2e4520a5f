// spillway/limit: limits at the HTTP door, and who heeds those of others.
export { type BackOffOptions, backOff } from './http/client/back-off.ts'
export type { Send, SendInit } from './http/client/send.ts'
