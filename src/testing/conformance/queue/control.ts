// What all control has in common: it is refused by engines that do not have it, and for queues that nobody declared.
import type { QueueFeature } from '../../../ports/capability.ts'
import type { QueuePort } from '../../../ports/queue.ts'
import { refused, refusedForLack } from '../refusal.ts'
import { fresh } from '../sample.ts'
import { owners } from '../subject.ts'
import { counts, messages, type QueueCase, queueBench, queuePorts } from './bench.ts'

type Control = Extract<QueueFeature, 'pause' | 'peek' | 'cancel' | 'purge' | 'schedules' | 'finished'>
type Call = (port: QueuePort, queue: string) => Promise<unknown>

/** Every method of a capability. */
export const controlCalls: Readonly<Record<Control, readonly Call[]>> = {
  pause: [(port, queue) => port.pause(queue), (port, queue) => port.resume(queue)],
  peek: [(port, queue) => port.peek(queue, { limit: 1 })],
  cancel: [(port, queue) => port.cancel(queue, ['m0'])],
  purge: [(port, queue) => port.purge(queue, 'waiting'), (port, queue) => port.purge(queue, 'dead')],
  schedules: [
    (port, queue) => port.schedules(queue, 'all'),
    (port, queue) =>
      port.putSchedule(queue, { name: 'a', spec: '{}', due: 1, version: undefined, messages: messages(1) }),
    (port, queue) => port.removeSchedule(queue, 'a'),
  ],
  finished: [(port, queue) => port.finished(queue, { limit: 1 }), (port, queue) => port.trimFinished(queue)],
}

const capabilities = Object.keys(controlCalls) as Control[]

function missingCase(capability: Control): QueueCase {
  return {
    id: `queue.${capability}.missing`,
    title: `an engine without ${capability} refuses it, and does nothing: CAPABILITY_MISSING`,
    requires: ['queue', `without queue.${capability}`],
    async run(subject) {
      const { queue, one } = await queueBench(subject)
      await one.send(queue, messages(2))
      for (const call of controlCalls[capability])
        await refusedForLack(
          subject.one.name,
          owners('queue', capability),
          () => call(one, queue),
          capability,
        )
      await counts(one, queue, { ready: 2 })
    },
  }
}

function unknownCase(capability: Control): QueueCase {
  return {
    id: `queue.${capability}.unknown`,
    title: `${capability} refuses a queue that was not declared (UNKNOWN_QUEUE), and a handle that was closed (CLOSED)`,
    requires: [`queue.${capability}`],
    async run(subject) {
      const { one } = queuePorts(subject)
      const engine = await subject.access.openEngine()
      await engine.close()
      for (const call of controlCalls[capability]) {
        await refused('UNKNOWN_QUEUE', () => call(one, fresh('queue')), capability)
        await refused('CLOSED', () => call(engine.queue!, fresh('queue')), capability)
      }
    },
  }
}

export const controlCases: readonly QueueCase[] = [
  ...capabilities.map(missingCase),
  ...capabilities.map(unknownCase),
]
