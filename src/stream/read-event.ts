// Records opened for their reader: a page at a time, without a promise per event unless the validator is asynchronous.
import type { EventContract } from '../core/contract.ts'
import { type Opened, unseal } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import type { Message } from '../core/message.ts'
import type { StreamRecord } from '../ports/stream.ts'

export interface ReadEvent<Out> {
  readonly message: Message<Out>
  readonly partition: number
  readonly position: number
  readonly appendedAt: number
  readonly version: number | undefined
}

/** Throws at a record that cannot be read, after the events before it were handed out. */
export async function* openPages<Out>(
  contract: EventContract<unknown, Out>,
  pages: AsyncIterable<readonly StreamRecord[]>,
): AsyncGenerator<readonly ReadEvent<Out>[]> {
  for await (const records of pages) {
    const messages: (Opened<Out> | Promise<Opened<Out>>)[] = []
    let asynchronous = false
    for (const { body } of records) {
      const message = unseal(contract, body)
      if (message instanceof Promise) asynchronous = true
      messages.push(message)
    }
    const opened = asynchronous ? await Promise.all(messages) : (messages as Opened<Out>[])
    const events: ReadEvent<Out>[] = []
    for (let index = 0; index < records.length; index++) {
      const message = opened[index]!
      if (message instanceof SpillwayError) {
        if (events.length > 0) yield events
        throw message
      }
      const { partition, position, appendedAt, version } = records[index]!
      events.push({ message, partition, position, appendedAt, version })
    }
    yield events
  }
}
