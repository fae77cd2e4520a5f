// Faults of a queue, planted in front of the in-memory engine.
import { setTimeout as delay } from 'node:timers/promises'
import { isSpillwayError, SpillwayError } from '../../../src/core/errors.ts'
import { missing } from '../../../src/ports/capability.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { ClaimedMessage, OutgoingMessage, QueuePort } from '../../../src/ports/queue.ts'
import { type Fault, queueFault } from './fault.ts'

/** What a claim of this port really gives, changed. */
export function claimed(change: (messages: ClaimedMessage[]) => ClaimedMessage[]) {
  return (port: QueuePort): Partial<QueuePort> => ({
    claim: async (queue, options) => change(await port.claim(queue, options)),
  })
}

/** What is sent, changed. */
function sent(change: (messages: readonly OutgoingMessage[]) => readonly OutgoingMessage[]) {
  return (port: QueuePort): Partial<QueuePort> => ({
    send: (queue, messages) => port.send(queue, change(messages)),
  })
}

export const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1)

async function purge(port: QueuePort, queue: string): Promise<void> {
  const found = await port.claim(queue, { limit: 1_000, leaseMs: 60_000, waitMs: 0 })
  await port.settle(
    queue,
    found.map(({ lease }) => ({ lease, kind: 'done' })),
  )
}

export const declareFaults: readonly Fault<Engine>[] = [
  queueFault('only the first queue of a declaration is made', ['queue.declare.makes'], () => (port) => ({
    declare: (queues, rules) => port.declare(queues.slice(0, 1), rules),
  })),
  queueFault('declaring a queue again empties it', ['queue.declare.idempotent'], () => (port) => ({
    async declare(queues, rules) {
      await port.declare(queues, rules)
      for (const queue of queues) await purge(port, queue)
    },
  })),
  queueFault(
    'declaring what another is declaring fails',
    ['queue.declare.concurrent', 'queue.rules.concurrent'],
    () => {
      const under = new Set<string>()
      return (port) => ({
        async declare(queues, rules) {
          for (const queue of queues)
            if (under.has(queue)) throw new SpillwayError('ENGINE_FAILED', `The table of '${queue}' exists.`)
          for (const queue of queues) under.add(queue)
          await delay(5)
          await port.declare(queues, rules)
          for (const queue of queues) under.delete(queue)
        },
      })
    },
  ),
  queueFault('an unknown queue is made by sending to it', ['queue.unknown'], () => (port) => ({
    async send(queue, messages) {
      await port.declare([queue])
      return port.send(queue, messages)
    },
  })),
  queueFault(
    'an unknown queue stays unknown to who asked for it',
    ['queue.unknown.then-declared'],
    () => (port) => {
      const unknown = new Set<string>()
      return {
        async send(queue, messages) {
          try {
            if (unknown.has(queue)) throw new SpillwayError('UNKNOWN_QUEUE', 'It was unknown before.')
            return await port.send(queue, messages)
          } catch (error) {
            if (isSpillwayError(error, 'UNKNOWN_QUEUE')) unknown.add(queue)
            throw error
          }
        },
      }
    },
  ),
  queueFault('a limit of 0 is taken for 1', ['queue.numbers'], () => (port) => ({
    claim: (queue, options) => port.claim(queue, { ...options, limit: options.limit || 1 }),
  })),
  queueFault('a claim that finds nothing looks into the other queues', ['queue.apart'], () => {
    const queues = new Set<string>()
    return (port) => ({
      async declare(list, rules) {
        await port.declare(list, rules)
        for (const queue of list) queues.add(queue)
      },
      async claim(queue, options) {
        let found = await port.claim(queue, options)
        for (const other of queues)
          if (found.length === 0) found = await port.claim(other, { ...options, waitMs: 0 })
        return found
      },
    })
  }),
  queueFault('an empty batch is an error', ['queue.empty-arrays'], () => (port) => ({
    async settle(queue, settlements) {
      if (settlements.length === 0) throw new Error('syntax error at or near ")"')
      return port.settle(queue, settlements)
    },
  })),
  queueFault('the shortest lease is none', ['queue.limits'], () => (port) => ({
    limits: { ...port.limits, minLeaseMs: 0 },
  })),
]

export const sendFaults: readonly Fault<Engine>[] = [
  queueFault('no key comes back as an empty one', ['queue.send.stores'], () =>
    claimed((messages) => messages.map((message) => ({ ...message, key: message.key ?? '' }))),
  ),
  queueFault('bodies are stored as JSON values, not as texts', ['queue.send.bodies'], () =>
    sent((messages) =>
      messages.map((message) => ({ ...message, body: JSON.stringify(JSON.parse(message.body || 'null')) })),
    ),
  ),
  queueFault('line breaks separate messages', ['queue.send.bodies'], () =>
    sent((messages) => messages.map((message) => ({ ...message, body: message.body.split(',\\n')[0]! }))),
  ),
  queueFault('keys are brought to one Unicode form', ['queue.send.keys-and-ids'], () =>
    sent((messages) =>
      messages.map(({ key, ...message }) =>
        key === undefined ? message : { ...message, key: key.normalize() },
      ),
    ),
  ),
  queueFault(
    'messages are claimed by id, not by age',
    ['queue.send.order-within', 'queue.send.order-between'],
    () => claimed((messages) => messages.sort(byId)),
  ),
  queueFault(
    'of sends that overlap one message is lost',
    ['queue.send.concurrent', 'queue.concurrent.send-and-claim'],
    () => {
      let under = 0
      return (port) => ({
        async send(queue, messages) {
          under++
          await delay(1)
          const duplicates = await port.send(queue, under > 1 ? messages.slice(1) : messages)
          under--
          return duplicates
        },
      })
    },
  ),
  queueFault('a second message with the same id is passed over', ['queue.send.same-id'], () => {
    const known = new Set<string>()
    return (port) => ({
      async send(queue, messages) {
        const fresh = messages.filter(({ id }) => !known.has(`${queue} ${id}`))
        for (const { id } of messages) known.add(`${queue} ${id}`)
        return port.send(queue, fresh)
      },
    })
  }),
  queueFault('a batch is cut off at 5,000', ['queue.send.many'], () =>
    sent((messages) => messages.slice(0, 5_000)),
  ),
  queueFault(
    'a large body is noticed when those before it are stored',
    ['queue.send.too-large'],
    () => (port) => ({
      async send(queue, messages) {
        for (const message of messages) await port.send(queue, [message])
        return []
      },
    }),
  ),
  queueFault('bodies are measured in characters', ['queue.send.too-large'], () => (port) => ({
    async send(queue, messages) {
      if (messages.some(({ body }) => body.length > port.limits.maxBodyBytes))
        throw new SpillwayError('TOO_LARGE', 'A body is too large.')
      return port.send(
        queue,
        messages.map((message) => ({ ...message, body: message.body.slice(0, 100) })),
      )
    },
  })),
  queueFault('a body of exactly the limit is refused', ['queue.send.just-fits'], () => (port) => ({
    async send(queue, messages) {
      if (messages.some(({ body }) => Buffer.byteLength(body) >= port.limits.maxBodyBytes))
        throw new SpillwayError('TOO_LARGE', 'A body is too large.')
      return port.send(queue, messages)
    },
  })),
  queueFault('a batch is stored in two halves', ['queue.send.atomic'], () => (port) => ({
    async send(queue, messages) {
      const half = Math.floor(messages.length / 2)
      await port.send(queue, messages.slice(0, half))
      await delay(1)
      return port.send(queue, messages.slice(half))
    },
  })),
  queueFault('a send resolves before it is stored', ['engine.close.flushes'], () => (port) => ({
    async send(queue, messages) {
      setTimeout(() => port.send(queue, messages).catch(() => {}), 30)
      return []
    },
  })),
  queueFault('a delay is passed over', ['queue.delay.waits', 'queue.delay.by-time'], () =>
    sent((messages) => messages.map(({ delayMs: _, ...message }) => message)),
  ),
  queueFault('a delayed message holds up those behind it', ['queue.delay.passes-by'], () => (port) => ({
    async claim(queue, options) {
      return (await port.count(queue)).delayed > 0 ? [] : port.claim(queue, options)
    },
  })),
]

/** Engines that do not have `delay`: one that says so, and one that only does not do it. */
export const withoutDelay: Fault<Engine> = queueFault(
  'no fault: delay is missing, and refused',
  [],
  () => (port, engine) => ({
    capabilities: { ...port.capabilities, delay: false },
    async send(queue, messages) {
      if (messages.some(({ delayMs }) => delayMs !== undefined)) throw missing(engine.name, 'queue', 'delay')
      return port.send(queue, messages)
    },
  }),
)

export const delayFaults: readonly Fault<Engine>[] = [
  queueFault(
    'delay is missing, and a delayed message is sent at once',
    ['queue.delay.missing'],
    () => (port) => ({
      capabilities: { ...port.capabilities, delay: false },
      ...sent((messages) => messages.map(({ delayMs: _, ...message }) => message))(port),
    }),
  ),
]

const polling = [
  'queue.claim.wakes.send',
  'queue.claim.wakes.release',
  'queue.claim.wakes.retry',
  'queue.claim.wakes.expiry',
  'queue.claim.wakes.redrive',
  'queue.key-order.wakes',
  'queue.groups.concurrency.wakes',
  'queue.rule-concurrency.wakes',
  'queue.rules.replaced',
  'queue.rate.refilled',
  'queue.resume.wakes',
]

export const claimFaults: readonly Fault<Engine>[] = [
  queueFault('a claim takes one more than the limit', ['queue.claim.limit'], () => (port) => ({
    claim: (queue, options) => port.claim(queue, { ...options, limit: options.limit + 1 }),
  })),
  queueFault('starts are counted from 0', ['queue.claim.starts'], () =>
    claimed((messages) => messages.map((message) => ({ ...message, starts: message.starts - 1 }))),
  ),
  queueFault('a claim that does not wait does not look', ['queue.claim.looks-once'], () => (port) => ({
    claim: async (queue, options) => (options.waitMs === 0 ? [] : port.claim(queue, options)),
  })),
  queueFault('a claim waits half its time', ['queue.claim.waits'], () => (port) => ({
    claim: (queue, options) => port.claim(queue, { ...options, waitMs: options.waitMs / 2 }),
  })),
  queueFault('a waiting claim looks again only at its end', polling, () => (port) => ({
    async claim(queue, options) {
      const found = await port.claim(queue, { ...options, waitMs: 0 })
      if (found.length > 0 || options.waitMs === 0) return found
      await delay(options.waitMs)
      return port.claim(queue, { ...options, waitMs: 0 })
    },
  })),
  queueFault('a waiting claim that was too slow resolves with nothing', ['queue.claim.wakes.each'], () => {
    const waiting = new Set<AbortController>()
    return (port) => ({
      async send(queue, messages) {
        const duplicates = await port.send(queue, messages)
        for (const each of waiting) each.abort()
        return duplicates
      },
      async claim(queue, options) {
        const own = new AbortController()
        waiting.add(own)
        const signal = options.signal ? AbortSignal.any([options.signal, own.signal]) : own.signal
        const found = await port.claim(queue, { ...options, signal })
        waiting.delete(own)
        return found
      },
    })
  }),
  queueFault('a claim does not hear its signal', ['queue.claim.signal'], () => (port) => ({
    claim: (queue, { signal: _, ...options }) => port.claim(queue, options),
  })),
  queueFault(
    'what was leased when the signal fires is lost',
    ['queue.claim.signal.loses-nothing'],
    () => (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        await delay(2)
        return options.signal?.aborted ? [] : found
      },
    }),
  ),
  {
    what: 'what was leased at close is lost',
    fails: ['queue.claim.close.loses-nothing'],
    plant: () => (engine) => {
      let closing = false
      const fault = queueFault('', [], () => (port) => ({
        async claim(queue, options) {
          const found = await port.claim(queue, options)
          await delay(1)
          return closing ? [] : found
        },
      }))
      const planted = fault.plant()(engine)
      return new Proxy(planted, {
        get(target, name) {
          if (name !== 'close') return Reflect.get(target, name)
          return () => {
            closing = true
            return engine.close()
          }
        },
      })
    },
  },
]
