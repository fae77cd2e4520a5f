// Flows as a whole: random graphs over two queues, worked off by two processes that lose leases, give back and bury.
import assert from 'node:assert/strict'
import type { ClaimedMessage, OutgoingMessage, QueuePort, Settlement } from '../../../ports/queue.ts'
import type { QueueRules } from '../../../ports/queue-rules.ts'
import { chance, numbers } from '../sample.ts'
import type { EngineSubject } from '../subject.ts'
import { eventually, soonMs } from '../wait.ts'
import { counts, longMs, type QueueCase } from './bench.ts'
import { flowRules, named, step, twoQueues } from './rules-flow.ts'

const size = 60

/** Each waits for up to four of those before it. */
function graph(random: () => number, keys: number): OutgoingMessage[] {
  const all = numbers(size).map((n) => named(`n${n}`))
  return all.map((id, index) => {
    const count = Math.min(index, Math.floor(random() * 5))
    const after = numbers(count).map(() => all[Math.floor(random() * index)]!)
    const message = after.length === 0 ? step(id) : step(id, after)
    return keys === 0 ? message : { ...message, key: `k${Math.floor(random() * keys)}` }
  })
}

export const flowDagCases: readonly QueueCase[] = [
  {
    id: 'queue.flow.graph',
    title:
      'in graphs over several queues no message starts before all that it waits for are done, and all are done in the end, whatever leases are lost',
    requires: ['queue.flow'],
    run: (subject) => workOff(subject, flowRules, 0),
  },
  {
    id: 'queue.flow.graph.keyed',
    title:
      'the same where messages wait in the lines of their keys too, from which the broken ones leave and come back: nobody waits for ever',
    requires: ['queue.flow', 'queue.keyOrder'],
    run: (subject) => workOff(subject, { flow: true, keyOrder: true }, 3),
  },
]

async function workOff(subject: EngineSubject, rules: QueueRules, keys: number): Promise<void> {
  for (const seed of [1, 2, 3]) {
    const { queue, other, one, two, shortMs } = await twoQueues(subject, rules)
    const random = chance(seed)
    const messages = graph(random, keys)
    const afterOf = new Map(messages.map(({ id, after }) => [id, after?.ids ?? []]))
    const done = new Set<string>()
    const work = async (port: QueuePort, name: string) => {
      const end = performance.now() + 6 * soonMs
      while (done.size < size && performance.now() < end) {
        const lost = random() < 0.2
        const leaseMs = lost ? shortMs : longMs
        const found = await port.claim(name, { limit: 4, leaseMs, waitMs: 50 })
        for (const { id } of found)
          for (const before of afterOf.get(id)!) assert.ok(done.has(before), `${id} waits for ${before}`)
        if (lost || found.length === 0) continue
        // Whoever is let go by it may be claimed before the answer comes.
        const settlements = found.map((message) => ending(message, random))
        for (const [index, { kind }] of settlements.entries()) if (kind === 'done') done.add(found[index]!.id)
        await port.settle(name, settlements)
        await redriveAll(port, name)
      }
    }
    const workers = [work(one, queue), work(two, queue), work(one, other), work(two, other)]
    // While others are at work already.
    const sending = async () => {
      for (const [index, message] of messages.entries())
        await (index % 3 ? one : two).send(index % 2 ? queue : other, [message])
    }
    await Promise.all([sending(), ...workers])
    assert.equal(done.size, size, 'all are done')
    await eventually('nothing is left', async () => {
      for (const name of [queue, other]) {
        await redriveAll(one, name)
        const left = await one.claim(name, { limit: 10, leaseMs: longMs, waitMs: 0 })
        await one.settle(
          name,
          left.map(({ lease }) => ({ lease, kind: 'done' })),
        )
        await counts(one, name, {})
      }
    })
  }
}

function ending({ lease }: ClaimedMessage, random: () => number): Settlement {
  const at = random()
  if (at < 0.6) return { lease, kind: 'done' }
  if (at < 0.75) return { lease, kind: 'release' }
  return at < 0.9 ? { lease, kind: 'retry', delayMs: 0 } : { lease, kind: 'dead-letter', reason: 'broken' }
}

async function redriveAll(port: QueuePort, queue: string): Promise<void> {
  const dead = await port.deadLetters(queue, { limit: 100 })
  if (dead.length > 0)
    await port.redrive(
      queue,
      dead.map(({ handle }) => handle),
    )
}
