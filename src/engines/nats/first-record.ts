// Where the records of a partition begin, from the start or from a time on: an ephemeral consumer knows, and sends no bodies.
import type { Msg } from '@nats-io/transport-node'
import { systemClock } from '../../core/clock.ts'
import { newId } from '../../core/id.ts'
import { parseAckSubject } from './ack-subject.ts'
import type { Api } from './api.ts'
import { Fault } from './errors.ts'
import type { KnownStream } from './streams.ts'

const second = 1_000_000_000

/** The sequence of the first message at or after the time; undefined when there is none. */
export function firstMessage(
  api: Api,
  stream: KnownStream,
  partition: number,
  time: number | undefined,
): Promise<number | undefined> {
  const { stream: name, base } = stream.names
  return api.persist(async (ms) => {
    const consumer = newId()
    const created = await api.createConsumer(name, {
      name: consumer,
      ack_policy: 'none',
      replay_policy: 'instant',
      ...(time === undefined
        ? { deliver_policy: 'all' }
        : { deliver_policy: 'by_start_time', opt_start_time: new Date(time).toISOString() }),
      filter_subject: `${base}.${partition}`,
      headers_only: true,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 10 * second,
    })
    if (created.num_pending === 0) return undefined
    // Whole nanoseconds, or the server refuses it.
    const request = JSON.stringify({ batch: 1, expires: Math.ceil(ms) * 1_000_000 })
    const pull = api.subject(`CONSUMER.MSG.NEXT.${name}.${consumer}`)
    const { promise, resolve } = Promise.withResolvers<Msg | undefined>()
    const mailbox = api.link.openMailbox()
    mailbox.handle = resolve
    const cancel = systemClock.after(ms, () => resolve(undefined))
    api.link.publish(pull, request, mailbox.subject)
    const answer = await promise
    cancel()
    mailbox.close()
    api.link.publish(api.subject(`CONSUMER.DELETE.${name}.${consumer}`), '')
    const found = answer?.reply ? parseAckSubject(answer.reply) : undefined
    if (found === undefined) throw new Fault('SILENT', `${name} did not give its first message`)
    return found.sequence
  })
}
