// Faults in what a message tells of its redriving.
import type { Engine } from '../../../src/ports/engine.ts'
import type { ClaimedMessage } from '../../../src/ports/queue.ts'
import { type Fault, queueFault } from './fault.ts'
import { claimed } from './queue.ts'

function untold({ redrivenAt: _, ...message }: ClaimedMessage): ClaimedMessage {
  return message
}

export const redrivenFaults: readonly Fault<Engine>[] = [
  queueFault(
    'nobody is told of a redriving',
    [
      'queue.redriven.told',
      'queue.redriven.kept',
      'queue.redriven.again',
      'queue.redriven.copy',
      'queue.redriven.rules',
      'queue.redriven.rules-later',
    ],
    () => claimed((messages) => messages.map(untold)),
  ),
  queueFault('whatever was claimed before counts as redriven', ['queue.redriven.told'], () =>
    claimed((messages) =>
      messages.map((message) =>
        message.fencingToken > 1 ? { ...message, redrivenAt: Date.now() } : message,
      ),
    ),
  ),
  queueFault('a retry forgets the redriving', ['queue.redriven.kept', 'queue.redriven.rules'], () =>
    claimed((messages) => messages.map((message) => (message.starts > 1 ? untold(message) : message))),
  ),
  queueFault('the first redriving is told for ever', ['queue.redriven.again'], () => {
    const first = new Map<string, number>()
    return (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        return found.map((message) => {
          if (message.redrivenAt === undefined) return message
          const name = `${queue} ${message.id}`
          const redrivenAt = first.get(name) ?? message.redrivenAt
          first.set(name, redrivenAt)
          return { ...message, redrivenAt }
        })
      },
    })
  }),
  queueFault('redriving is known by the id', ['queue.redriven.copy'], () => {
    const known = new Map<string, number>()
    return (port) => ({
      async redrive(queue, handles) {
        for (const { id } of await port.deadLetters(queue, { limit: 1_000 }))
          known.set(`${queue} ${id}`, Date.now())
        return port.redrive(queue, handles)
      },
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        return found.map((message) => {
          const redrivenAt = known.get(`${queue} ${message.id}`)
          return redrivenAt === undefined ? message : { ...message, redrivenAt }
        })
      },
    })
  }),
]
