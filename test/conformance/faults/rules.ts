// Faults in declaring the rules of a queue, and in refusing what has no rule.
import { isSpillwayError } from '../../../src/core/errors.ts'
import { missing, type QueueFeature } from '../../../src/ports/capability.ts'
import type { Engine } from '../../../src/ports/engine.ts'
import type { OutgoingMessage, QueuePort } from '../../../src/ports/queue.ts'
import type { QueueRules } from '../../../src/ports/queue-rules.ts'
import { type Change, type Fault, queueFault } from './fault.ts'

/** What is declared, changed. */
export function declared(change: (rules: QueueRules) => QueueRules) {
  return (port: QueuePort): Partial<QueuePort> => ({
    declare: (queues, rules) => port.declare(queues, rules && change(rules)),
  })
}

const carriedFor: Partial<Record<keyof QueueRules, keyof OutgoingMessage>> = {
  priority: 'priority',
  dedup: 'dedup',
  groups: 'group',
  flow: 'after',
}

const fieldsOf = (rules: readonly (keyof QueueRules)[]) =>
  rules.flatMap((rule) => carriedFor[rule] ?? []) as readonly string[]

function without<T extends object>(object: T, names: readonly string[]): T {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name))) as T
}

/** The rules are taken, and not held. */
export function dropped(...rules: readonly (keyof QueueRules)[]): () => Change<QueuePort> {
  return () => (port) => ({
    ...declared((given) => without(given, rules))(port),
    send: (queue, messages) =>
      port.send(
        queue,
        messages.map((message) => without(message, fieldsOf(rules))),
      ),
  })
}

const everyField = fieldsOf(['priority', 'dedup', 'groups', 'flow'])
const ruleNames = [
  'keyOrder',
  'priority',
  'dedup',
  'groups',
  'concurrency',
  'rate',
  'flow',
  'finished',
] as const
const controlNames = ['pause', 'peek', 'cancel', 'purge', 'finished', 'schedules'] as const

export const ruleFaults: readonly Fault<Engine>[] = [
  queueFault('a process knows the rules that it declared itself', ['queue.rules.seen'], () => (port) => {
    const known = new Set<string>()
    return {
      async declare(queues, rules) {
        await port.declare(queues, rules)
        for (const queue of queues) known.add(queue)
      },
      send: (queue, messages) =>
        port.send(
          queue,
          known.has(queue) ? messages : messages.map((message) => without(message, everyField)),
        ),
    }
  }),
  queueFault(
    'a declaration without rules takes all away',
    ['queue.rules.kept', 'queue.rate.declared-again'],
    () => (port) => ({
      declare: (queues, rules) => port.declare(queues, rules ?? {}),
    }),
  ),
  queueFault('rules are added to those that there were', ['queue.rules.replaced', 'queue.rules.seen'], () => {
    const all = new Map<string, QueueRules>()
    return (port) => ({
      async declare(queues, rules) {
        for (const queue of queues) {
          const together = rules && { ...all.get(queue), ...rules }
          await port.declare([queue], together)
          if (together) all.set(queue, together)
        }
      },
    })
  }),
  queueFault('what was leased before a rule came does not count', ['queue.rules.waiting'], () => {
    const late = new Set<string>()
    return (port) => ({
      async declare(queues, rules) {
        for (const queue of queues) {
          const leased = await port.count(queue).then(
            ({ leased }) => leased,
            () => 0,
          )
          const concurrency = rules?.concurrency && rules.concurrency + leased
          await port.declare([queue], rules && (leased > 0 ? { ...rules, concurrency: concurrency! } : rules))
          late.add(queue)
        }
      },
    })
  }),
  queueFault('keyOrder changes whatever waits', ['queue.rules.key-order-change'], () => (port) => ({
    declare: (queues, rules) =>
      port.declare(queues, rules).catch((error: unknown) => {
        if (!isSpillwayError(error, 'CONFIGURATION')) throw error
      }),
  })),
  queueFault(
    'queues are made one after another until one is refused',
    ['queue.rules.key-order-change'],
    () => (port) => ({
      async declare(queues, rules) {
        for (const queue of queues) await port.declare([queue], rules)
      },
    }),
  ),
  queueFault('rules with numbers out of range are none', ['queue.rules.numbers'], () => (port) => ({
    declare: (queues, rules) =>
      port.declare(queues, rules).catch((error: unknown) => {
        if (!isSpillwayError(error, 'INVALID_OPTION')) throw error
        return port.declare(queues, {})
      }),
  })),
  queueFault('a rule that is named is on', ['queue.rules.none'], () =>
    declared((rules) => ('keyOrder' in rules ? { ...rules, keyOrder: true } : rules)),
  ),
  queueFault(
    'what has no rule, or is out of range, is passed over',
    [
      'queue.carried.priority',
      'queue.carried.dedup',
      'queue.carried.groups',
      'queue.carried.flow',
      'queue.carried.priority.range',
      'queue.carried.dedup.range',
    ],
    () => (port) => ({
      async send(queue, messages) {
        try {
          return await port.send(queue, messages)
        } catch (error) {
          if (!isSpillwayError(error, 'INVALID_OPTION')) throw error
          return port.send(
            queue,
            messages.map((message) => without(message, everyField)),
          )
        }
      },
    }),
  ),
  queueFault(
    'what has no rule is noticed when those before it are stored',
    [
      'queue.carried.priority',
      'queue.carried.dedup',
      'queue.carried.groups',
      'queue.carried.flow',
      'queue.carried.dedup.range',
    ],
    () => (port) => ({
      async send(queue, messages) {
        for (const message of messages) await port.send(queue, [message])
        return []
      },
    }),
  ),
]

const lacking = (port: QueuePort, ...names: readonly QueueFeature[]) => ({
  capabilities: { ...port.capabilities, ...Object.fromEntries(names.map((name) => [name, false])) },
})

/** An engine that has none of it, and says so. */
export const withoutAll: Fault<Engine> = queueFault(
  'no fault: all of it is missing, and refused',
  [],
  () => (port, engine) => {
    const refuse = (name: QueueFeature) => async () => {
      throw missing(engine.name, 'queue', name)
    }
    return {
      ...lacking(port, ...ruleNames, ...controlNames, 'history', 'progress'),
      async declare(queues, rules = {}) {
        for (const rule of ruleNames) if (rules[rule]) throw missing(engine.name, 'queue', rule)
        await port.declare(queues)
      },
      async deadLetters(queue, options) {
        return (await port.deadLetters(queue, options)).map((letter) => ({ ...letter, history: [] }))
      },
      pause: refuse('pause'),
      resume: refuse('pause'),
      peek: refuse('peek'),
      cancel: refuse('cancel'),
      purge: refuse('purge'),
      schedules: refuse('schedules'),
      putSchedule: refuse('schedules'),
      removeSchedule: refuse('schedules'),
      finished: refuse('finished'),
      trimFinished: refuse('finished'),
      async extend(queue, leases, leaseMs, progress) {
        if (progress?.some((text) => text !== undefined)) throw missing(engine.name, 'queue', 'progress')
        return port.extend(queue, leases, leaseMs)
      },
    }
  },
)

/** Engines that do not have something, and take it all the same. */
export const missingFaults: readonly Fault<Engine>[] = [
  ...ruleNames.map((rule) =>
    queueFault(
      `${rule} is missing, and is declared and not held`,
      [`queue.rules.missing.${rule}`],
      () => (port, engine) => ({
        ...dropped(rule)()(port, engine),
        ...lacking(port, rule),
      }),
    ),
  ),
  ...([...controlNames, 'history', 'progress'] as const).map((name) =>
    queueFault(
      `${name} is missing, and is done`,
      [`queue.${name}.missing`],
      () => (port) => lacking(port, name),
    ),
  ),
]
