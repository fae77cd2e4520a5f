// A schedule on its way to the storage thread, with the messages that it sends.
import type { ScheduleChange } from '../../ports/queue-schedules.ts'
import { addMessages, checkedSize, emptySend } from './queue-send.ts'
import type { Storage } from './storage.ts'
import type { Answers, QueueFacts } from './wire.ts'

export async function putSchedule(
  storage: Storage,
  facts: QueueFacts,
  { name, spec, due, last, version, messages }: ScheduleChange,
): Promise<Answers['putSchedule']> {
  const bytes = checkedSize(messages, facts.rules)
  const room = storage.admit(bytes)
  if (room !== undefined) await room
  const pending = storage.begin({
    kind: 'putSchedule',
    queue: facts.id,
    name,
    spec,
    due,
    last: last ?? null,
    version: version ?? null,
    send: emptySend(facts),
  })
  pending.bytes += bytes
  addMessages(storage.slabs, facts.rules, pending.operation.send, pending.held, messages)
  return pending.answer
}
