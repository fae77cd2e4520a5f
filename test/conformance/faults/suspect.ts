// Faults in what a message tells of its earlier starts.
import type { Engine } from '../../../src/ports/engine.ts'
import type { FailedStart } from '../../../src/ports/queue.ts'
import { type Fault, queueFault } from './fault.ts'
import { claimed } from './queue.ts'

export const suspectFaults: readonly Fault<Engine>[] = [
  queueFault(
    'nothing is suspect',
    ['queue.suspect.lost', 'queue.suspect.first-start', 'queue.suspect.released'],
    () => claimed((messages) => messages.map((message) => ({ ...message, suspect: false }))),
  ),
  queueFault('whatever was claimed before is suspect', ['queue.suspect.first-start'], () =>
    claimed((messages) => messages.map((message) => ({ ...message, suspect: message.fencingToken > 1 }))),
  ),
  queueFault('who is claimed beside a suspect is one', ['queue.suspect.lost'], () =>
    claimed((messages) =>
      messages.map((message) => ({ ...message, suspect: messages.some(({ suspect }) => suspect) })),
    ),
  ),
  queueFault('a release clears suspicion', ['queue.suspect.released'], () => {
    const cleared = new Set<string>()
    const messageOf = new Map<string, string>()
    return (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        for (const { id, lease } of found) messageOf.set(lease, `${queue} ${id}`)
        return found.map((each) => ({
          ...each,
          suspect: each.suspect && !cleared.has(`${queue} ${each.id}`),
        }))
      },
      settle(queue, settlements) {
        for (const { lease, kind } of settlements)
          if (kind === 'release') cleared.add(messageOf.get(lease) ?? '')
        return port.settle(queue, settlements)
      },
    })
  }),
  queueFault('no reasons are kept', ['queue.history.tells', 'queue.history.last-ten'], () => (port) => ({
    deadLetters: async (queue, options) =>
      (await port.deadLetters(queue, options)).map((letter) => ({ ...letter, history: [] })),
  })),
  queueFault('reasons outlive a redriving', ['queue.history.redriven'], () => {
    const kept = new Map<string, readonly FailedStart[]>()
    return (port) => ({
      async deadLetters(queue, options) {
        const letters = await port.deadLetters(queue, options)
        return letters.map((letter) => ({
          ...letter,
          history: [...(kept.get(`${queue} ${letter.id}`) ?? []), ...letter.history],
        }))
      },
      async redrive(queue, handles) {
        for (const { id, history } of await port.deadLetters(queue, { limit: 1_000 }))
          kept.set(`${queue} ${id}`, history)
        return port.redrive(queue, handles)
      },
    })
  }),
]
