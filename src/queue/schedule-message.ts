// What a schedule sends. It is sealed once, when the schedule is declared, with times that count from 1970; every run is made
// from that, by whichever process fires it, without the contract.
import { createHash } from 'node:crypto'
import { systemClock } from '../core/clock.ts'
import type { QueueContract } from '../core/contract.ts'
import type { Message } from '../core/message.ts'
import type { OutgoingMessage } from '../ports/queue.ts'
import { carriedBy, outgoing, type SendOptions, type SendOrigin } from './outgoing.ts'

export type ScheduledSendOptions = Pick<SendOptions, 'priority' | 'dedup' | 'ttl'>

const atTheBeginning = { ...systemClock, now: () => 0 }

/** The same text for the same message, whenever it is asked for. Rejects as `send` does. */
export async function sealForSchedule<In>(
  contract: QueueContract<In, unknown>,
  name: string,
  data: In,
  { priority, dedup, ttl }: ScheduledSendOptions,
  origin: SendOrigin,
): Promise<string> {
  const options: SendOptions = {
    id: name,
    ...(priority === undefined ? {} : { priority }),
    ...(dedup === undefined ? {} : { dedup }),
    ...(ttl === undefined ? {} : { ttl }),
  }
  return (await outgoing(contract, data, options, origin, atTheBeginning)).body
}

/** The message of one run. Its id is that of the due time: whoever sends it twice sends the same. */
export function scheduledMessage(
  sealed: string,
  { queue, name, due, now }: Record<'queue' | 'name', string> & Record<'due' | 'now', number>,
): OutgoingMessage {
  const { data, ...attributes } = JSON.parse(sealed) as Message
  const { partitionkey, expirytime, dedupuntil } = attributes
  const id = idOf(queue, name, due)
  // The data stays last: `attributesOf` ends where it begins.
  const body = JSON.stringify({
    ...attributes,
    id,
    correlationid: id,
    time: text(now),
    expirytime: expirytime && text(now + Date.parse(expirytime)),
    dedupuntil: dedupuntil && text(now + Date.parse(dedupuntil)),
    schedule: name,
    scheduledfor: text(due),
    data,
  })
  return { id, key: partitionkey, body, ...carriedBy(body, now) }
}

function text(time: number): string {
  return new Date(time).toISOString()
}

/** A UUID of version 8 (RFC 9562): of our own making, the first bits of a hash. */
function idOf(queue: string, name: string, due: number): string {
  const bytes = createHash('sha256').update(`${queue}\n${name}\n${due}`).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
