// The works: what is done, as it stands in the results, and in what it is counted.
import type { Kind } from '../systems/system.ts'

export const work = {
  sendOne: 'send, one by one',
  sendInFlight: 'send, 100 in flight',
  sendBulk: 'send, bulk of 1,000',
  consume: 'consume',
  p50: 'latency p50',
  p99: 'latency p99',
  otherP50: 'latency p50, other process',
  otherP99: 'latency p99, other process',
  eventLoop: 'event loop delay p99',
  appendOne: 'append, one by one',
  appendInFlight: 'append, 100 in flight',
  appendBulk: 'append, bulk of 1,000',
  read: 'read, decoded',
  immediate: 'an immediate function',
  query: 'a query over HTTP',
  queries: 'queries over HTTP, 50 in flight',
  command: 'a command over HTTP that commits a row',
  handle: 'handle with an effect and a message',
  messageP50: 'latency p50, commit to handler of a message',
  messageP99: 'latency p99, commit to handler of a message',
  eventP50: 'latency p50, commit to handler of an event',
  eventP99: 'latency p99, commit to handler of an event',
  relay: 'relay to another engine',
  decideOne: 'decide, one key',
  decideMany: 'decide, 100,000 keys',
  decideThree: 'decide by three rules, 100,000 keys',
  keyBytes: 'memory of a key, 1,000,000 keys',
} as const

export type Work = (typeof work)[keyof typeof work]
export type Unit = 'messages/s' | 'events/s' | 'calls/s' | 'ms' | 'µs' | 'bytes'

/** In the order of the report. */
export const works: Readonly<Record<Kind, readonly Work[]>> = {
  queue: [
    work.sendOne,
    work.sendInFlight,
    work.sendBulk,
    work.consume,
    work.p50,
    work.p99,
    work.otherP50,
    work.otherP99,
    work.eventLoop,
  ],
  stream: [work.appendOne, work.appendInFlight, work.appendBulk, work.read],
  call: [work.immediate, work.query, work.queries, work.command],
  transaction: [work.handle, work.messageP50, work.messageP99, work.eventP50, work.eventP99, work.relay],
  limit: [work.decideOne, work.decideMany, work.decideThree, work.keyBytes],
}

export function unitOf(name: Work): Unit {
  if (name === work.immediate || name === work.query || name === work.command) return 'µs'
  if (name === work.keyBytes) return 'bytes'
  if (works.limit.includes(name)) return 'µs'
  if (name === work.queries) return 'calls/s'
  if (name.startsWith('latency') || name === work.eventLoop) return 'ms'
  return works.queue.includes(name) || name === work.handle ? 'messages/s' : 'events/s'
}

/** Of a time less is better, and of memory; of a rate more. */
export function isTime(unit: Unit): boolean {
  return unit === 'ms' || unit === 'µs' || unit === 'bytes'
}
