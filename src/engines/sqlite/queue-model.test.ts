// Two handles do at random what queues are for, with leases that end; afterwards every message was done once, or is dead.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import type { ClaimedMessage, QueuePort, Settlement } from '../../ports/queue.ts'
import { sqlite } from './engine.ts'

const path = mkdtempSync(join(tmpdir(), 'spillway-model-'))
afterAll(() => rmSync(path, { recursive: true }))

const below = (count: number) => Math.floor(Math.random() * count)
const oneIn = (count: number) => below(count) === 0

const sent = new Map<string, string>()
const done = new Set<string>()
const dead = new Set<string>()

async function sendSome(queue: QueuePort, name: string): Promise<void> {
  const messages = Array.from({ length: 1 + below(oneIn(3) ? 300 : 5) }, () => ({
    id: `${name}${sent.size}-${below(1e9)}`,
    key: oneIn(2) ? 'key' : undefined,
    body: `body\n${'é'.repeat(below(200))}`,
    delayMs: oneIn(20) ? below(200) : undefined,
  }))
  for (const { id, body } of messages) sent.set(id, body)
  await queue.send(name, messages)
}

function ending(lease: string): Settlement {
  const dice = below(20)
  if (dice < 16) return { lease, kind: 'done' }
  if (dice < 17) return { lease, kind: 'retry', delayMs: below(100) }
  if (dice < 19) return { lease, kind: 'release' }
  return { lease, kind: 'dead-letter', reason: 'for the test' }
}

async function settleSome(
  queue: QueuePort,
  name: string,
  messages: readonly ClaimedMessage[],
): Promise<void> {
  const settlements = messages.map(({ lease }) => ending(lease))
  const results = await queue.settle(name, settlements)
  for (const [index, { id, body }] of messages.entries()) {
    expect(body).toBe(sent.get(id))
    if (results[index] === 'stale') continue
    if (settlements[index]!.kind === 'dead-letter') dead.add(id)
    if (settlements[index]!.kind !== 'done') continue
    expect(done.has(id), 'done twice').toBe(false)
    done.add(id)
  }
}

async function handleSome(queue: QueuePort, name: string): Promise<void> {
  const limit = 1 + below(oneIn(3) ? 400 : 5)
  const messages = await queue.claim(name, { limit, leaseMs: oneIn(4) ? 100 : 1500, waitMs: below(20) })
  if (oneIn(10)) return
  if (oneIn(4))
    await queue.extend(
      name,
      messages.filter(() => oneIn(2)).map(({ lease }) => lease),
      1500,
    )
  const odd = oneIn(2)
  for (const part of odd
    ? [messages.filter((_, i) => i % 2), messages.filter((_, i) => !(i % 2))]
    : [messages])
    if (!oneIn(15)) await settleSome(queue, name, part)
  if (oneIn(50)) {
    const letters = await queue.deadLetters(name, { limit: 20 })
    await queue.redrive(
      name,
      letters.map(({ handle }) => handle),
    )
    for (const { id } of letters) dead.delete(id)
  }
}

test('nothing is lost and nothing is done twice, whatever two handles do', async () => {
  const engines = await Promise.all([1, 2].map(() => sqlite({ path, synchronous: 'off' })))
  await engines[0]!.queue!.declare(['x', 'y'])
  const end = Date.now() + 2000
  const busy = async (queue: QueuePort) => {
    while (Date.now() < end)
      await (oneIn(2) ? sendSome(queue, oneIn(2) ? 'x' : 'y') : handleSome(queue, oneIn(2) ? 'x' : 'y'))
  }
  await Promise.all(Array.from({ length: 10 }, (_, index) => busy(engines[index % 2]!.queue!)))
  const { queue } = engines[0]!
  for (const name of ['x', 'y'])
    for (;;) {
      const messages = await queue!.claim(name, { limit: 1000, leaseMs: 60_000, waitMs: 2_000 })
      if (messages.length === 0) break
      const results = await queue!.settle(
        name,
        messages.map(({ lease }) => ({ lease, kind: 'done' })),
      )
      expect(results.every((result) => result === 'settled')).toBe(true)
      for (const { id } of messages) {
        expect(done.has(id), 'done twice').toBe(false)
        done.add(id)
      }
    }
  const lost = [...sent.keys()].filter((id) => !done.has(id) && !dead.has(id))
  expect(lost).toEqual([])
  const db = new DatabaseSync(join(path, 'spillway.db'))
  for (const table of ['lease', 'queue_batch', 'queue_single'])
    expect(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n, table).toBe(0)
  expect(db.prepare('SELECT count(*) AS n FROM queue_dead').get()!.n).toBe(dead.size)
  expect({ ...db.prepare('PRAGMA integrity_check').get() }).toEqual({ integrity_check: 'ok' })
  db.close()
  await Promise.all(engines.map((engine) => engine.close()))
})
