// Faults in the order of keys and in priorities, planted in front of the in-memory engine.
import { setTimeout as delay } from 'node:timers/promises'
import type { Engine } from '../../../src/ports/engine.ts'
import type { OutgoingMessage, QueuePort, Settlement } from '../../../src/ports/queue.ts'
import { type Change, type Fault, queueFault } from './fault.ts'
import { unfenced } from './leases.ts'
import { dropped } from './rules.ts'

/** Messages as they were sent, by the leases that they have. */
class Known {
  readonly #sent = new Map<string, OutgoingMessage>()
  readonly #leased = new Map<string, OutgoingMessage>()

  of(lease: string): OutgoingMessage | undefined {
    return this.#leased.get(lease)
  }

  /** What a port has to do so that they are known. `leased` is called for each that is claimed. */
  watch(
    port: QueuePort,
    leased: (queue: string, lease: string, leaseMs: number) => void = () => {},
  ): Partial<QueuePort> {
    return {
      send: (queue, messages) => {
        for (const message of messages) this.#sent.set(`${queue} ${message.id}`, message)
        return port.send(queue, messages)
      },
      claim: async (queue, options) => {
        const found = await port.claim(queue, options)
        for (const { id, lease } of found) {
          const message = this.#sent.get(`${queue} ${id}`)
          if (message === undefined) continue
          this.#leased.set(lease, message)
          leased(queue, lease, options.leaseMs)
        }
        return found
      },
    }
  }
}

/** What would be given back is sent anew instead, changed. */
function sentAnew(
  given: (settlement: Settlement) => boolean,
  change: (message: OutgoingMessage) => OutgoingMessage = (message) => message,
): () => Change<QueuePort> {
  return () => {
    const known = new Known()
    return (port) => ({
      ...known.watch(port),
      async settle(queue, settlements) {
        const results = await port.settle(
          queue,
          settlements.map((each) => (given(each) ? { lease: each.lease, kind: 'done' } : each)),
        )
        for (const each of settlements) {
          const message = known.of(each.lease)
          const delayMs = each.kind === 'retry' ? each.delayMs : 0
          if (given(each) && message) await port.send(queue, [{ ...change(message), delayMs }])
        }
        return results
      },
    })
  }
}

/** What is lost is sent anew instead, changed, well before its lease ends: timers are late on a busy machine. */
function lostAnew(change: (message: OutgoingMessage) => OutgoingMessage): () => Change<QueuePort> {
  return () => {
    const known = new Known()
    return (port) =>
      known.watch(port, (queue, lease, leaseMs) => {
        if (leaseMs > 1_000) return
        const sendAnew = async () => {
          const [result] = await port.settle(queue, [{ lease, kind: 'done' }])
          if (result === 'settled') await port.send(queue, [change(known.of(lease)!)])
        }
        // The case may be over by then.
        setTimeout(() => sendAnew().catch(() => {}), leaseMs / 2)
      })
  }
}

const givenBack = ({ kind }: Settlement) => kind === 'retry' || kind === 'release'
const plain = ({ priority: _, ...message }: OutgoingMessage): OutgoingMessage => message

export const keyOrderFaults: readonly Fault<Engine>[] = [
  queueFault(
    'the order of keys is not kept',
    [
      'queue.key-order.one-at-a-time',
      'queue.key-order.processes',
      'queue.key-order.rounds',
      'queue.key-order.sends',
      'queue.priority.key-order',
      'queue.groups.key-order',
      'queue.rules.together',
    ],
    dropped('keyOrder'),
  ),
  queueFault('keys are told apart without case', ['queue.key-order.keys'], () => (port) => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => ({ ...message, key: message.key?.toLowerCase() })),
      ),
  })),
  queueFault(
    'what is given back goes to the end of its key',
    ['queue.key-order.retry', 'queue.key-order.given-back'],
    sentAnew(givenBack),
  ),
  queueFault(
    'what is lost goes to the end of its key',
    ['queue.key-order.expiry'],
    lostAnew((message) => message),
  ),
  queueFault('a stale settlement lets the next one pass', ['queue.key-order.stale'], unfenced),
  queueFault('what is sent for later has no place in its key', ['queue.key-order.delay'], () => (port) => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => (message.delayMs ? { ...message, key: undefined } : message)),
      ),
  })),
  queueFault('a dead letter holds its key', ['queue.key-order.dead-letter'], () => (port) => ({
    settle: (queue, settlements) =>
      port.settle(
        queue,
        settlements.map((each) =>
          each.kind === 'dead-letter' ? { lease: each.lease, kind: 'retry', delayMs: 60_000 } : each,
        ),
      ),
  })),
  queueFault(
    'a claim looks at the oldest 1,000 only',
    ['queue.key-order.behind-many', 'queue.priority.behind-many'],
    () => (port) => ({
      async claim(queue, options) {
        const seen = new Set((await port.peek(queue, { limit: 1_000 })).map(({ id }) => id))
        const found = await port.claim(queue, options)
        const hidden = found.filter(({ id }) => !seen.has(id))
        await port.settle(
          queue,
          hidden.map(({ lease }) => ({ lease, kind: 'release' })),
        )
        if (hidden.length === found.length) await delay(Math.min(options.waitMs, 200))
        return found.filter(({ id }) => seen.has(id))
      },
    }),
  ),
]

export const priorityFaults: readonly Fault<Engine>[] = [
  queueFault(
    'priorities are not kept',
    ['queue.priority.highest-first', 'queue.groups.priority'],
    dropped('priority'),
  ),
  queueFault('priorities count within a claim', ['queue.priority.highest-first'], () => {
    const priorities = new Map<string, number>()
    const drop = dropped('priority')()
    return (port, engine) => {
      const ours = drop(port, engine)
      return {
        declare: ours.declare!,
        send(queue, messages) {
          for (const { id, priority = 0 } of messages) priorities.set(`${queue} ${id}`, priority)
          return ours.send!(queue, messages)
        },
        async claim(queue, options) {
          const found = await port.claim(queue, options)
          const of = ({ id }: { id: string }) => priorities.get(`${queue} ${id}`) ?? 0
          return found.sort((a, b) => of(b) - of(a))
        },
      }
    }
  }),
  queueFault(
    'what is given back has no priority any more',
    ['queue.priority.given-back'],
    sentAnew(givenBack, plain),
  ),
  queueFault('what is lost has no priority any more', ['queue.priority.lost'], lostAnew(plain)),
  queueFault('what is redriven has no priority any more', ['queue.priority.redriven'], () => (port) => ({
    async redrive(queue, handles) {
      const letters = await port.deadLetters(queue, { limit: 1_000 })
      const count = await port.redrive(queue, handles)
      const chosen = letters.filter(({ handle }) => handles.includes(handle))
      await port.cancel(
        queue,
        chosen.map(({ id }) => id),
      )
      await port.send(
        queue,
        chosen.map(({ id, key, body }) => ({ id, key, body })),
      )
      return count
    },
  })),
  queueFault('what was sent for later comes last', ['queue.priority.delayed'], () => (port) => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => (message.delayMs ? { ...message, priority: -100 } : message)),
      ),
  })),
]
