// Sending in a transaction that the user already has: each message is stored in it when it is sent.
import type { EventContract, QueueContract } from '../core/contract.ts'
import { SpillwayError } from '../core/errors.ts'
import { refuseInside } from '../core/scope.ts'
import type { JoinedOutbox } from '../ports/database.ts'
import type { SendOptions } from '../queue/outgoing.ts'
import { GatheringSender, type OutgoingOptions, type Sender } from './sender.ts'
import type { UnitHome } from './unit.ts'

/** Sends in an asynchronous transaction. Wait for each: what is not stored before the transaction ends is refused. */
export interface JoinedSender {
  /** As `Sender.publish`; resolves when the event is stored in the transaction. NO_TRANSACTION when that has ended. */
  publish<In>(event: EventContract<In, unknown>, data: In, options?: OutgoingOptions): Promise<void>
  /** As `Sender.send`; resolves with the id of the message when it is stored in the transaction. */
  send<In>(queue: QueueContract<In, unknown>, data: In, options?: SendOptions): Promise<string>
}

/** Throws NO_TRANSACTION, NO_DATABASE, and DIRECT_SEND inside a handler, whose own transaction it would go past. */
export function join<Db>(home: UnitHome<Db>, tx: unknown): JoinedSender | Sender {
  const act = `join() of ${home.context}`
  refuseInside(act)
  const { database } = home
  if (!database) throw new SpillwayError('NO_DATABASE', `${act} was called, but its service has no database.`)
  const joined = database.join(tx)
  return joined.driver === 'synchronous' ? synchronous(home, joined, act) : asynchronous(home, joined, act)
}

type Synchronous = Extract<JoinedOutbox, { driver: 'synchronous' }>
type Asynchronous = Extract<JoinedOutbox, { driver: 'asynchronous' }>

function synchronous<Db>(home: UnitHome<Db>, outbox: Synchronous, act: string): Sender {
  const storing = <Result>(gather: (sender: Sender) => Result): Result => {
    refuseInside(act)
    const sender = new GatheringSender(home, undefined)
    const result = gather(sender)
    if (sender.isAsynchronous)
      throw new SpillwayError(
        'COMMIT_ASYNC',
        'A message with an asynchronous validator was to join a transaction of a synchronous database.',
        { remedy: 'It was not stored. Validate it before the transaction, or use a synchronous validator.' },
      )
    outbox.store(sender.messages)
    return result
  }
  return {
    publish: (event, data, options) => storing((sender) => sender.publish(event, data, options)),
    send: (queue, data, options) => storing((sender) => sender.send(queue, data, options)),
  }
}

function asynchronous<Db>(home: UnitHome<Db>, outbox: Asynchronous, act: string): JoinedSender {
  // One after another: rows are sent in the order in which they are stored.
  let last: Promise<unknown> = Promise.resolve()
  const storing = async <Result>(gather: (sender: Sender) => Result): Promise<Result> => {
    refuseInside(act)
    const sender = new GatheringSender(home, undefined)
    const result = gather(sender)
    const stored = last.then(async () => outbox.store(await sender.validated()))
    last = stored.catch(() => {})
    await stored
    return result
  }
  return {
    publish: (event, data, options) => storing((sender) => sender.publish(event, data, options)),
    send: (queue, data, options) => storing((sender) => sender.send(queue, data, options)),
  }
}
