// Replaying a context's events: for building a view anew from what happened, without touching any group's position.
import type { EventContract } from '../core/contract.ts'
import { openMessage } from '../core/envelope.ts'
import { SpillwayError } from '../core/errors.ts'
import { decode, type Message } from '../core/message.ts'
import { isThenable } from '../core/thenable.ts'
import type { StreamRecord } from '../ports/stream.ts'
import { type HistoryOptions, readHistory } from '../stream/history.ts'
import type { Channels } from './channels.ts'

/** What a replay needs to know of a context; every `Context` has it. */
export interface Replayable {
  readonly name: string
  readonly events: object
}

/** What is done about each event, by its name in the context. Events without a handler are passed over. */
export type ReplayHandlers<C extends Replayable> = {
  readonly [K in keyof C['events']]?: C['events'][K] extends EventContract<infer _In, infer Out>
    ? (message: Message<Out>) => unknown
    : never
}

/** Handles the events one after another; resolves with how many there were for these handlers. */
export async function replay<C extends Replayable>(
  channels: Channels,
  context: C,
  handlers: ReplayHandlers<C>,
  options: HistoryOptions = {},
): Promise<number> {
  const handled = handledTypes(context, handlers)
  const { port } = await channels.stream(context.name)
  const isRepeated = repetitions()
  let count = 0
  for await (const page of readHistory(port, context.name, options)) {
    for (const record of page) {
      const message = decode(record.body)
      if (message instanceof SpillwayError) throw message
      const found = handled.get(message.type)
      if (!found || isRepeated(record, message)) continue
      const opening = openMessage(found.contract, message)
      const opened = opening instanceof Promise ? await opening : opening
      if (opened instanceof SpillwayError) throw opened
      // A handler that is not asynchronous costs no turn.
      const handling = found.handler(opened)
      if (isThenable(handling)) await handling
      count += 1
    }
  }
  return count
}

interface Handled {
  readonly contract: EventContract
  readonly handler: (message: Message) => unknown
}

function handledTypes(context: Replayable, handlers: object): ReadonlyMap<string, Handled> {
  const contracts = context.events as Readonly<Record<string, EventContract>>
  const entries = Object.entries(handlers as Readonly<Record<string, Handled['handler']>>)
  return new Map(
    entries.map(([name, handler]) => {
      const contract = contracts[name]
      if (!contract)
        throw new SpillwayError('UNKNOWN_EVENT', `The context ${context.name} publishes no ${name}.`)
      return [contract.type, { contract, handler }]
    }),
  )
}

/** A relay that crashed sends again: then the sequence is not above what its producer had in this partition before. */
function repetitions(): (record: StreamRecord, message: Message) => boolean {
  const highest = new Map<string, number>()
  return ({ partition }, { producerid, sequence: digits }) => {
    const sequence = Number(digits)
    if (typeof producerid !== 'string' || !Number.isSafeInteger(sequence)) return false
    const producer = `${partition} ${producerid}`
    if (sequence <= (highest.get(producer) ?? 0)) return true
    highest.set(producer, sequence)
    return false
  }
}
