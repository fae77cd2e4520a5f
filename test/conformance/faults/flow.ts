// Faults in messages that wait for others, in keeping finished messages, and in the progress of running ones.
import { isSpillwayError } from '../../../src/core/errors.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { OutgoingMessage, QueuePort } from '../../../src/ports/queue.ts'
import { type After, unknownMessage } from '../../../src/ports/queue-rules.ts'
import { type Change, type Fault, queueFault } from './fault.ts'
import { declared } from './rules.ts'

/** What is sent, changed. */
function sent(change: (message: OutgoingMessage) => OutgoingMessage) {
  return (port: QueuePort): Partial<QueuePort> => ({
    send: (queue, messages) => port.send(queue, messages.map(change)),
  })
}

/** What messages wait for, changed; undefined for nothing. */
function waiting(change: (after: After, message: OutgoingMessage) => After | undefined) {
  return sent(({ after, ...message }) =>
    after === undefined ? message : { ...message, after: change(after, message) },
  )
}

let shadows = 0

/** Lets go whoever waits for a message: another one with its id is done. */
async function finish(port: QueuePort, ids: readonly string[]): Promise<void> {
  const shadow = `shadow.${++shadows}`
  await port.declare([shadow], { flow: true })
  await port.send(
    shadow,
    ids.map((id) => ({ id, body: '{}' })),
  )
  const held = await port.claim(shadow, { limit: ids.length, leaseMs: 60_000, waitMs: 0 })
  await port.settle(
    shadow,
    held.map(({ lease }) => ({ lease, kind: 'done' })),
  )
}

/** `end(ids, kind)` hears of every lease that is about to end. */
function onEnd(port: QueuePort, end: (ids: readonly string[], kind: string) => unknown): Partial<QueuePort> {
  const idOf = new Map<string, string>()
  return {
    async claim(queue, options) {
      const found = await port.claim(queue, options)
      for (const { id, lease } of found) idOf.set(lease, id)
      return found
    },
    async settle(queue, settlements) {
      for (const { lease, kind } of settlements) await end([idOf.get(lease) ?? ''], kind)
      return port.settle(queue, settlements)
    },
  }
}

/** The ids that were done so far, and when. */
function remembering(change: (port: QueuePort, done: ReadonlyMap<string, number>) => Partial<QueuePort>) {
  return (): Change<QueuePort> => {
    const done = new Map<string, number>()
    return (port) => ({
      ...onEnd(port, ([id], kind) => kind === 'done' && done.set(id!, performance.now())),
      ...change(port, done),
    })
  }
}

export const flowFaults: readonly Fault<Engine>[] = [
  queueFault(
    'nothing is waited for',
    [
      'queue.flow.waits',
      'queue.flow.not-done',
      'queue.flow.known',
      'queue.flow.may-come',
      'queue.flow.peek',
      'queue.flow.ids',
      'queue.flow.key-order',
      'queue.flow.delay',
      'queue.flow.many',
      'queue.flow.dead',
      'queue.flow.leaves',
    ],
    () => waiting(() => undefined),
  ),
  queueFault(
    'the first that is done lets go',
    ['queue.flow.waits', 'queue.flow.gone', 'queue.flow.graph', 'queue.flow.graph.keyed'],
    () => waiting((after) => ({ ...after, ids: after.ids.slice(0, 1) })),
  ),
  queueFault('the last hundred are waited for', ['queue.flow.many', 'queue.flow.unknown'], () =>
    waiting((after) => ({ ...after, ids: after.ids.slice(-100) })),
  ),
  queueFault(
    'every end of a lease lets go',
    ['queue.flow.not-done', 'queue.flow.dead', 'queue.flow.graph'],
    () => (port) => onEnd(port, (ids) => finish(port, ids)),
  ),
  queueFault(
    'a dead letter counts as done',
    ['queue.flow.dead'],
    () => (port) => onEnd(port, (ids, kind) => kind === 'dead-letter' && finish(port, ids)),
  ),
  queueFault(
    'what others wait for stands behind them in the line of its key',
    ['queue.flow.line', 'queue.flow.line.head', 'queue.flow.line.late'],
    () => {
      const named = new Set<string>()
      const behind = new Set<string>()
      const enter = (ids: readonly string[]) => {
        for (const id of ids) if (named.has(id)) behind.add(id)
      }
      return (port) => ({
        async send(queue, messages) {
          enter(messages.map(({ id }) => id))
          for (const { after } of messages) for (const id of after?.ids ?? []) named.add(id)
          return port.send(queue, messages)
        },
        async redrive(queue, handles) {
          const letters = await port.deadLetters(queue, { limit: 100 })
          enter(letters.filter(({ handle }) => handles.includes(handle)).map(({ id }) => id))
          return port.redrive(queue, handles)
        },
        async claim(queue, options) {
          const found = await port.claim(queue, options)
          const hidden = found.filter(({ id }) => behind.has(id))
          await port.settle(
            queue,
            hidden.map(({ lease }) => ({ lease, kind: 'release' })),
          )
          return found.filter(({ id }) => !behind.has(id))
        },
      })
    },
  ),
  queueFault(
    'what comes back stands in no line',
    ['queue.flow.line', 'queue.flow.line.head'],
    () => (port) => ({
      async redrive(queue, handles) {
        const letters = await port.deadLetters(queue, { limit: 100 })
        const back = letters.filter(({ handle }) => handles.includes(handle))
        await port.purge(queue, 'dead')
        await port.send(
          queue,
          back.map(({ id, body }) => ({ id, body })),
        )
        return back.length
      },
    }),
  ),
  queueFault('what comes back to a queue without rules is any message', ['queue.flow.dead.unruled'], () => {
    const plain = new Set<string>()
    return (port) => ({
      async declare(queues, rules) {
        for (const queue of queues) if (rules && Object.keys(rules).length === 0) plain.add(queue)
        return port.declare(queues, rules)
      },
      async redrive(queue, handles) {
        if (!plain.has(queue)) return port.redrive(queue, handles)
        const letters = await port.deadLetters(queue, { limit: 100 })
        const back = letters.filter(({ handle }) => handles.includes(handle))
        await port.send(
          queue,
          back.map(({ id, key, body }) => ({ id, key, body })),
        )
        return back.length
      },
    })
  }),
  queueFault('what comes back does so the newest first', ['queue.flow.line'], () => (port) => ({
    async redrive(queue, handles) {
      let count = 0
      for (const handle of [...handles].reverse()) count += await port.redrive(queue, [handle])
      return count
    },
  })),
  queueFault('what is not known may always come', ['queue.flow.unknown'], () =>
    waiting((after) => ({ ...after, mayCome: true })),
  ),
  queueFault('what is not known counts as done', ['queue.flow.unknown'], () => (port) => ({
    async send(queue, messages) {
      for (const { after, ...message } of messages)
        await port.send(queue, [{ ...message, after }]).catch((error: unknown) => {
          if (!isSpillwayError(error, 'UNKNOWN_MESSAGE')) throw error
          return port.send(queue, [message])
        })
      return []
    },
  })),
  queueFault(
    'what is done is forgotten',
    ['queue.flow.known', 'queue.flow.race'],
    remembering((port, done) => ({
      async send(queue, messages) {
        for (const { after } of messages)
          for (const id of after?.ids ?? []) if (done.has(id)) throw unknownMessage('memory', id)
        return port.send(queue, messages)
      },
    })),
  ),
  queueFault('mayCome is passed over', ['queue.flow.may-come', 'queue.flow.duplicate'], () =>
    waiting(({ mayCome: _, ...after }) => after),
  ),
  queueFault('anyEnd is passed over', ['queue.flow.dead', 'queue.flow.gone'], () =>
    waiting(({ anyEnd: _, ...after }) => after),
  ),
  queueFault('who waits is said to be ready', ['queue.flow.peek'], () => (port) => ({
    peek: async (queue, options) =>
      (await port.peek(queue, options)).map((message) =>
        message.state === 'waiting' ? { ...message, state: 'ready' } : message,
      ),
  })),
  queueFault('ids are told apart without case', ['queue.flow.ids'], () =>
    waiting((after) => ({ ...after, mayCome: true, ids: after.ids.map((id) => id.toLowerCase()) })),
  ),
  queueFault('the rule stays', ['queue.flow.rule-gone'], () =>
    declared((rules) => (rules.priority ? { ...rules, flow: true } : rules)),
  ),
  queueFault('who waits loses its turn', ['queue.flow.key-order'], () =>
    sent(({ key, ...message }) => (message.after ? message : { ...message, key })),
  ),
  queueFault('what is sent for later waits for its time only', ['queue.flow.delay'], () =>
    waiting((after, { delayMs }) => (delayMs === undefined ? after : undefined)),
  ),
  queueFault(
    'looking whether something is done and waiting for it are two steps',
    ['queue.flow.race'],
    remembering((port, done) => ({
      async send(queue, messages) {
        const since = performance.now() - 20
        return waiting((after) => {
          const missed = after.ids.filter((id) => (done.get(id) ?? 0) > since)
          if (missed.length === 0) return after
          return { ...after, ids: missed.map((id) => `never ${id}`.slice(0, 200)), mayCome: true }
        })(port).send!(queue, messages)
      },
    })),
  ),
  queueFault(
    'what is cancelled or purged counts as done',
    ['queue.flow.gone', 'queue.flow.leaves'],
    () => (port) => ({
      async cancel(queue, ids) {
        await finish(port, ids)
        return port.cancel(queue, ids)
      },
      async purge(queue, what) {
        const found =
          what === 'dead'
            ? await port.deadLetters(queue, { limit: 100 })
            : await port.peek(queue, { limit: 100 })
        await finish(
          port,
          found.map(({ id }) => id),
        )
        return port.purge(queue, what)
      },
    }),
  ),
  queueFault('what waits is not cancelled', ['queue.flow.leaves'], () => (port) => ({
    async cancel(queue, ids) {
      const found = await port.peek(queue, { limit: 1_000 })
      const waits = new Set(found.filter(({ state }) => state === 'waiting').map(({ id }) => id))
      const others = await port.cancel(
        queue,
        ids.filter((id) => !waits.has(id)),
      )
      return ids.map((id) => (waits.has(id) ? 'removed' : others.shift()!))
    },
  })),
  queueFault('a duplicate is nobody', ['queue.flow.duplicate'], () => {
    const keys = new Set<string>()
    return sent((message) => {
      if (message.dedup === undefined || !keys.has(message.dedup.key)) {
        if (message.dedup) keys.add(message.dedup.key)
        return message
      }
      return { ...message, id: `another ${message.id}` }
    })
  }),
]

export const finishedFaults: readonly Fault<Engine>[] = [
  queueFault(
    'nothing is kept',
    [
      'queue.finished.kept',
      'queue.finished.bodies',
      'queue.finished.pages',
      'queue.finished.count',
      'queue.finished.for',
      'queue.finished.rule',
      'queue.finished.key-order',
    ],
    () => declared(({ finished: _, ...rules }) => rules),
  ),
  queueFault(
    'dead letters are kept too',
    ['queue.finished.kept', 'queue.finished.key-order'],
    () => (port) => ({
      async finished(queue, options) {
        const dead = await port.deadLetters(queue, { limit: 100 })
        const finished = await port.finished(queue, options)
        return [...finished, ...dead.map(({ diedAt, ...letter }) => ({ ...letter, finishedAt: diedAt }))]
      },
    }),
  ),
  queueFault(
    'the oldest come first',
    ['queue.finished.kept', 'queue.finished.pages', 'queue.finished.count'],
    () => (port) => ({
      finished: async (queue, options) => (await port.finished(queue, options)).toReversed(),
    }),
  ),
  queueFault('every page is the first', ['queue.finished.pages'], () => (port) => ({
    finished: (queue, { limit }) => port.finished(queue, { limit }),
  })),
  queueFault('bodies are written anew', ['queue.finished.bodies'], () => (port) => ({
    finished: async (queue, options) =>
      (await port.finished(queue, options)).map((message) => ({
        ...message,
        body: message.body.normalize('NFD').trim(),
      })),
  })),
  queueFault('nothing is removed', ['queue.finished.count', 'queue.finished.rule'], () => (port) => ({
    trimFinished: (queue) => port.count(queue).then(() => 0),
  })),
  queueFault('all is removed', ['queue.finished.count', 'queue.finished.for'], () => (port) => ({
    async trimFinished(queue) {
      await port.declare([queue], {})
      return port.trimFinished(queue)
    },
  })),
  queueFault('the time is passed over', ['queue.finished.for'], () =>
    declared((rules) =>
      rules.finished ? { ...rules, finished: { count: rules.finished.count ?? 100_000 } } : rules,
    ),
  ),
  queueFault('a rule that cannot be is none', ['queue.finished.numbers'], () => (port) => ({
    declare: (queues, rules) =>
      port.declare(queues, rules).catch((error: unknown) => {
        if (!isSpillwayError(error, 'INVALID_OPTION')) throw error
        return port.declare(queues, {})
      }),
  })),
]

const both = (name: string) => [`queue.progress.${name}`, `queue.progress.${name}.rules`]

/** What was said last of each message, seen as `shown` chooses. */
function said(by: 'whoever extended' | 'whoever asked'): () => Change<QueuePort> {
  return () => {
    const last = new Map<string, string>()
    const idOf = new Map<string, string>()
    return (port) => ({
      async claim(queue, options) {
        const found = await port.claim(queue, options)
        for (const { id, lease } of found) idOf.set(lease, id)
        return found
      },
      async extend(queue, leases, leaseMs, progress = []) {
        const results = await port.extend(queue, leases, leaseMs, progress)
        for (const [index, text] of progress.entries())
          if (text !== undefined && (by === 'whoever asked' || results[index] === 'extended'))
            last.set(`${queue} ${idOf.get(leases[index]!)}`, text)
        return results
      },
      peek: async (queue, options) =>
        (await port.peek(queue, options)).map(({ progress: _, ...message }) => {
          const text = last.get(`${queue} ${message.id}`)
          return text === undefined ? message : { ...message, progress: text }
        }),
    })
  }
}

export const progressFaults: readonly Fault<Engine>[] = [
  queueFault(
    'nobody keeps the progress',
    [...both('seen'), ...both('over'), ...both('fenced'), ...both('long')],
    () => (port) => ({
      extend: (queue, leases, leaseMs) => port.extend(queue, leases, leaseMs),
    }),
  ),
  queueFault('progress is that of the message', both('over'), said('whoever extended')),
  queueFault('whoever speaks is heard', both('fenced'), said('whoever asked')),
  queueFault('what is too long is cut', both('long'), () => (port) => ({
    extend: (queue, leases, leaseMs, progress) =>
      port.extend(
        queue,
        leases,
        leaseMs,
        progress?.map((text) => text?.slice(0, 4_000)),
      ),
  })),
]
