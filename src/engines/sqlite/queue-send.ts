// Messages on their way to the storage thread: their bodies into slabs, the rest into the operation.
import type { OutgoingMessage } from '../../ports/queue.ts'
import { checkCarried, type QueueRules } from '../../ports/queue-rules.ts'
import { sizeOf } from './limits.ts'
import { checkMs } from './range.ts'
import type { Slab, Slabs } from './slabs.ts'
import type { QueueFacts, WriteOperation } from './wire.ts'

export type SendOperation = Extract<WriteOperation, { kind: 'send' }>

export function emptySend({ id, version }: QueueFacts): SendOperation {
  return { kind: 'send', queue: id, version, spans: [], delayed: [], delaysMs: [], tasks: [], extras: [] }
}

/** How many bytes the messages take on their way. Throws for the first that cannot be stored under these rules. */
export function checkedSize(messages: readonly OutgoingMessage[], rules: QueueRules): number {
  let bytes = 0
  for (const message of messages) {
    const { id, key, body, delayMs } = message
    if (delayMs !== undefined) checkMs(delayMs, 0, 'delayMs')
    checkCarried(message, rules)
    bytes += sizeOf(id, key, body)
  }
  return bytes
}

/** In the turn in which the operation was begun: `held` is what it keeps of the slabs until it is answered. */
export function addMessages(
  slabs: Slabs,
  rules: QueueRules,
  operation: SendOperation,
  held: Slab[],
  messages: readonly OutgoingMessage[],
): void {
  if (Object.keys(rules).length > 0) addTasks(slabs, rules, operation, held, messages)
  else addPlain(slabs, operation, held, messages)
}

function addPlain(
  slabs: Slabs,
  operation: SendOperation,
  held: Slab[],
  messages: readonly OutgoingMessage[],
): void {
  for (const { id, key, body, delayMs } of messages) {
    if (delayMs === undefined || delayMs <= 0) slabs.write(operation.spans, held, id, key, body, false)
    else {
      slabs.write(operation.delayed, held, id, key, body, true)
      operation.delaysMs.push(Math.ceil(delayMs))
    }
  }
}

function addTasks(
  slabs: Slabs,
  rules: QueueRules,
  operation: SendOperation,
  held: Slab[],
  messages: readonly OutgoingMessage[],
): void {
  for (const { id, key, body, delayMs = 0, priority = 0, group = '', dedup, after } of messages) {
    slabs.write(operation.tasks, held, id, key, body, true)
    const lane = rules.keyOrder === true ? (key ?? null) : null
    const unique = dedup === undefined ? null : ([dedup.key, Math.ceil(dedup.forMs ?? 0), id] as const)
    const others =
      after === undefined ? null : ([after.ids, after.anyEnd === true, after.mayCome === true] as const)
    operation.extras.push([Math.ceil(delayMs), priority, group, lane, unique, others])
  }
}
