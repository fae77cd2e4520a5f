// Load through a network that misbehaves in every way, and the death of the server: what was acknowledged has its effect once, what is not
// ends within a bound, saying so, and everything goes on by itself.
import { setTimeout as pause } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import { type Engine, isSpillwayError, run, type Topology } from '../../src/index.ts'
import { memoryDatabase } from '../../src/testing/index.ts'
import type { RunningServer } from '../servers/index.ts'
import { NetworkProxy } from '../servers/proxy.ts'
import { checkHistory, type SentMessage } from './history.ts'

/** What is written. Its effect is `key-number`. */
export interface Entry {
  readonly key: string
  readonly number: number
}

export interface Writing {
  readonly id: string
  /** Whether the call was acknowledged. One that fails is noted. */
  attempt(call: () => Promise<unknown>): Promise<boolean>
  /** Whether there is still to be written. */
  goesOn(): boolean
}

export interface Trial {
  start(proxy: NetworkProxy): Promise<RunningServer>
  open(url: string): Promise<Engine>
  readonly channel: { readonly name: string; readonly ordered: boolean }
  /** Two processes run it. Its handler commits effects to the database. */
  topology(database: ReturnType<typeof effectsDatabase>, url: string): Topology
  /** Writes through an engine of its own; resolves with whether it is sure. */
  writer(engine: Engine): (entry: Entry, writing: Writing) => Promise<boolean>
  /** Longer than leases, than sessions, and than some calls may take. */
  readonly freezeMs: number
  /** Within which a call settles. */
  readonly boundMs: number
}

const keys = Array.from({ length: 6 }, (_, index) => `k${index}`)

function effectsDatabase(effects: string[]) {
  return memoryDatabase({
    db: effects,
    snapshot: (db) => {
      const { length } = db
      return () => {
        db.length = length
      }
    },
  })
}

export async function endureBadNetwork(trial: Trial): Promise<void> {
  const proxy = await NetworkProxy.start()
  const server = await trial.start(proxy)
  proxy.target = Number(new URL(server.url).port)
  const url = proxy.through(server.url)
  const effects: string[] = []
  const topology = trial.topology(effectsDatabase(effects), url)
  const engines = await Promise.all([trial.open(url), trial.open(url), trial.open(url)])
  const [first, second, third] = engines as [Engine, Engine, Engine]
  const ended: unknown[] = []
  const members = await Promise.all(
    [second, third].map((engine) => run(topology, { engine, onReport: () => {} })),
  )
  for (const { done } of members) done.catch((thrown) => ended.push(thrown))
  const write = trial.writer(first)

  const sent: SentMessage[] = []
  const failures: { readonly thrown: unknown; readonly ms: number }[] = []
  let writing = true
  const attempt = async (call: () => Promise<unknown>): Promise<boolean> => {
    const startedAt = performance.now()
    try {
      await call()
      return true
    } catch (thrown) {
      failures.push({ thrown, ms: performance.now() - startedAt })
      return false
    }
  }
  const writer = async (key: string): Promise<void> => {
    for (let number = 1; writing; number++) {
      const id = `${key}-${number}`
      const sure = await write({ key, number }, { id, attempt, goesOn: () => writing })
      sent.push({ id, key, number, sure })
      await pause(5)
    }
  }
  const writers = Promise.all(keys.map(writer))

  try {
    const flows = async () => {
      const before = effects.length
      await vi.waitFor(() => expect(effects.length).toBeGreaterThan(before + 20), {
        timeout: 90_000,
        interval: 50,
      })
    }
    await flows()
    proxy.cut()
    await flows()
    proxy.reset()
    await flows()
    proxy.halfClose()
    await flows()
    proxy.delayMs = 60
    await pause(1_000)
    proxy.delayMs = 0
    await flows()
    await proxy.freeze(trial.freezeMs)
    await flows()
    await server.kill()
    await pause(500)
    await server.restart()
    await flows()

    writing = false
    await writers
    const judged = () =>
      checkHistory({ rounds: 0, kills: 0, probes: [], channels: [{ ...trial.channel, sent, effects }] })
    await vi.waitFor(() => expect(judged().verdict.lost).toBe(0), { timeout: 90_000, interval: 200 })
    expect(judged().findings).toEqual([])
    expect(ended).toEqual([])
    for (const { thrown, ms } of failures) {
      expect(isSpillwayError(thrown, 'ENGINE_UNAVAILABLE'), String(thrown)).toBe(true)
      expect(ms).toBeLessThan(trial.boundMs)
    }
  } finally {
    writing = false
    await Promise.all(members.map((member) => member.stop({ deadlineMs: 500 }).catch(() => {})))
    await Promise.all(engines.map((engine) => engine.close()))
    await proxy.close()
    await server.stop()
  }
}
