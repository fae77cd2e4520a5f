// Faults in deduplication. Most of them free a key too early: by changing it from then on.
import { setTimeout as delay } from 'node:timers/promises'
import type { Engine } from '../../../src/ports/engine.ts'
import type { OutgoingMessage, QueuePort } from '../../../src/ports/queue.ts'
import { type Change, type Fault, queueFault } from './fault.ts'

/** The keys of what is sent, changed. */
function keyed(change: (dedup: NonNullable<OutgoingMessage['dedup']>) => OutgoingMessage['dedup']) {
  return (port: QueuePort): Partial<QueuePort> => ({
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => (message.dedup ? { ...message, dedup: change(message.dedup) } : message)),
      ),
  })
}

/** `free(queue, id)` frees the key that the message with the id was sent with. */
type Freeing = (port: QueuePort, free: (queue: string, id: string) => void) => Partial<QueuePort>

function freed(when: Freeing): () => Change<QueuePort> {
  return () => {
    const times = new Map<string, number>()
    const keyOf = new Map<string, string>()
    const free = (queue: string, id: string) => {
      const key = keyOf.get(`${queue} ${id}`) ?? ''
      times.set(key, (times.get(key) ?? 0) + 1)
    }
    return (port) => {
      const salted: QueuePort['send'] = (queue, messages) =>
        port.send(
          queue,
          messages.map((message) => {
            if (!message.dedup) return message
            const own = `${queue} ${message.dedup.key}`
            keyOf.set(`${queue} ${message.id}`, own)
            return {
              ...message,
              dedup: { ...message.dedup, key: `${message.dedup.key} ${times.get(own) ?? 0}` },
            }
          }),
        )
      const changes = when(port, free)
      return {
        ...changes,
        async send(queue, messages) {
          const duplicates = await salted(queue, messages)
          for (const { id, delayMs, dedup } of messages) {
            if (delayMs && changes === onDelay) free(queue, id)
            if (dedup?.forMs && changes === byTime) setTimeout(() => free(queue, id), dedup.forMs)
          }
          return duplicates
        },
      }
    }
  }
}

const onDelay: Partial<QueuePort> = {}
const byTime: Partial<QueuePort> = {}

/** Gone by its time, but nobody looked: its key is taken until somebody claims. */
function keptUntilClaimed(): Change<QueuePort> {
  const keyOf = new Map<string, string>()
  const kept = new Map<string, string>()
  return (port) => ({
    async send(queue, messages) {
      const holders = messages.map(({ dedup }) => dedup && kept.get(`${queue} ${dedup.key}`))
      for (const { id, dedup } of messages) if (dedup) keyOf.set(`${queue} ${id}`, `${queue} ${dedup.key}`)
      const duplicates = await port.send(
        queue,
        messages.filter((_, index) => holders[index] === undefined),
      )
      return [...duplicates, ...holders.flatMap((id, index) => (id === undefined ? [] : [{ index, id }]))]
    },
    async cancel(queue, ids) {
      const results = await port.cancel(queue, ids)
      for (const [index, id] of ids.entries())
        if (results[index] === 'signalled') kept.set(keyOf.get(`${queue} ${id}`) ?? '', id)
      return results
    },
    claim(queue, options) {
      kept.clear()
      return port.claim(queue, options)
    },
  })
}

export const dedupFaults: readonly Fault<Engine>[] = [
  queueFault(
    'the key of what was cancelled while it was held is free only when somebody claims',
    ['queue.dedup.cancelled-held'],
    keptUntilClaimed,
  ),
  queueFault(
    'keys are looked for in the store, not in the call',
    ['queue.dedup.call', 'queue.dedup.many'],
    () => (port) => ({
      send(queue, messages) {
        const seen = new Set<string>()
        return port.send(
          queue,
          messages.map((message) => {
            const { dedup, ...rest } = message
            if (dedup === undefined || !seen.has(dedup.key)) {
              if (dedup) seen.add(dedup.key)
              return message
            }
            return rest
          }),
        )
      },
    }),
  ),
  queueFault(
    'duplicates are told in another order',
    ['queue.dedup.call', 'queue.dedup.many'],
    () => (port) => ({
      send: async (queue, messages) => (await port.send(queue, messages)).toReversed(),
    }),
  ),
  queueFault(
    'a claim frees the key',
    ['queue.dedup.states'],
    freed((port, free) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        for (const { id } of found) free(queue, id)
        return found
      },
    })),
  ),
  queueFault(
    'what is sent for later holds no key',
    ['queue.dedup.delayed'],
    freed(() => onDelay),
  ),
  queueFault(
    'keys are held for ten minutes',
    [
      'queue.dedup.freed',
      'queue.dedup.redriven',
      'queue.dedup.many',
      'queue.dedup.cancelled',
      'queue.dedup.purged',
    ],
    () => keyed(({ key }) => ({ key, forMs: 600_000 })),
  ),
  queueFault(
    'forMs is passed over',
    ['queue.dedup.for', 'queue.dedup.for.dead', 'queue.dedup.cancelled', 'queue.dedup.purged'],
    () => keyed(({ key }) => ({ key })),
  ),
  queueFault(
    'forMs holds the key, and nothing else',
    ['queue.dedup.for.short'],
    freed(() => byTime),
  ),
  queueFault('whoever had the key once frees it', ['queue.dedup.redriven'], () => {
    const leased = new Map<string, string>()
    return freed((port, free) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        for (const { id, lease } of found) leased.set(lease, id)
        return found
      },
      async settle(queue, settlements) {
        const results = await port.settle(queue, settlements)
        for (const { lease, kind } of settlements) if (kind === 'done') free(queue, leased.get(lease) ?? '')
        return results
      },
    }))()
  }),
  queueFault('keys are told apart without case', ['queue.dedup.keys'], () =>
    keyed(({ key, ...rest }) => ({ ...rest, key: key.toLowerCase() })),
  ),
  queueFault('looking for a key and storing are two steps', ['queue.dedup.concurrent'], () => {
    const ids = new Map<string, string>()
    return (port) => ({
      async send(queue, messages) {
        const taken = messages.map(({ dedup }) => dedup && ids.get(`${queue} ${dedup.key}`))
        await delay(1)
        const duplicates = taken.flatMap((id, index) => (id === undefined ? [] : [{ index, id }]))
        for (const { dedup, id } of messages) if (dedup) ids.set(`${queue} ${dedup.key}`, id)
        await port.send(
          queue,
          messages.filter((_, index) => !taken[index]).map(({ dedup: _, ...message }) => message),
        )
        return duplicates
      },
    })
  }),
  queueFault('a send that is refused keeps its keys', ['queue.dedup.refused'], () => (port) => ({
    async send(queue, messages) {
      try {
        return await port.send(queue, messages)
      } catch (error) {
        for (const { id, dedup } of messages) if (dedup) await port.send(queue, [{ id, body: '{}', dedup }])
        throw error
      }
    },
  })),
]
