// The work of a soak: a queue without rules and one with all of them that the engine has, at a steady rate with bursts, with delays, retries,
// dead letters, leases that are divided or left to end, cancelled messages; and a stream with a group and a bound to what it keeps.
import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { unchecked } from '../../src/index.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { ClaimedMessage, OutgoingMessage, QueuePort, Settlement } from '../../src/ports/queue.ts'
import type { QueueRules } from '../../src/ports/queue-rules.ts'
import { open } from '../../src/spillway.ts'

export const queues = ['plain', 'ruled'] as const
type Name = (typeof queues)[number]
const idle = 'idle'

/** Nothing is sent while more wait. */
const longestBacklog = 5_000
const body = JSON.stringify({ text: 'x'.repeat(400) })
const tickMs = 50
/** A burst has so many seconds' worth at once. */
const burst = 2

const rules: QueueRules = {
  keyOrder: true,
  priority: true,
  dedup: true,
  groups: { concurrency: 200 },
  concurrency: 500,
  rate: { count: 1_000_000, perMs: 1_000 },
  flow: true,
}

export interface LoadOptions {
  /** Messages a second into the queue without rules; half as many into the other; as many events. */
  readonly rate: number
  readonly burstEveryMs: number
  /** How much the stream keeps, and how many finished messages the queue with rules. */
  readonly keep: { readonly bytes: `${number}KB`; readonly finished: number }
}

export class Load {
  handled = 0
  claimMs: Record<Name, number[]> = { plain: [], ruled: [] }
  readonly #engine: Engine
  readonly #options: LoadOptions
  readonly #closing = new AbortController()
  /** A store that is worked again remembers the ids of the last time. */
  readonly #name = randomUUID().slice(0, 8)
  #sent = 0
  /** Of the queue with rules: others wait for older ones only, so that none waits for ever. */
  #lastRuled: string | undefined
  #work: Promise<unknown> | undefined

  constructor(engine: Engine, options: LoadOptions) {
    this.#engine = engine
    this.#options = options
  }

  async start(): Promise<void> {
    const queue = this.#engine.queue!
    await queue.declare(['plain', idle])
    await queue.declare(['ruled'], rulesOf(queue, this.#options.keep.finished))
    const loops = queues.flatMap((name) => [
      this.#send(name),
      this.#consume(name),
      this.#consume(name),
      this.#tidy(name),
    ])
    this.#work = Promise.all([...loops, ...(this.#engine.stream ? [this.#stream()] : [])])
    // Whoever waits for the end hears of it; nobody before.
    this.#work.catch(() => this.#closing.abort())
  }

  /** Rejects with what ended the work. */
  async stop(): Promise<void> {
    this.#closing.abort()
    await this.#work
  }

  get failed(): boolean {
    return this.#closing.signal.aborted
  }

  async backlog(): Promise<number> {
    const counts = await Promise.all(queues.map((name) => this.#engine.queue!.count(name)))
    return counts.reduce(
      (sum, { ready, delayed, waiting, leased }) => sum + ready + delayed + waiting + leased,
      0,
    )
  }

  /** How long it takes to find that a queue is empty. */
  async idle(): Promise<number[]> {
    const times: number[] = []
    for (let look = 0; look < 5 && !this.failed; look++) {
      const began = performance.now()
      await this.#engine.queue!.claim(idle, { limit: 1, leaseMs: 1_000, waitMs: 0 })
      times.push(performance.now() - began)
    }
    return times
  }

  /** What was measured since the last time. */
  takeClaimMs(): Record<Name, number[]> {
    const taken = this.claimMs
    this.claimMs = { plain: [], ruled: [] }
    return taken
  }

  async #send(name: Name): Promise<void> {
    const queue = this.#engine.queue!
    const perTick = Math.max(
      1,
      Math.round(((name === 'plain' ? 1 : 0.5) * this.#options.rate * tickMs) / 1_000),
    )
    let burstAt = performance.now() + this.#options.burstEveryMs
    let waiting = 0
    for (let tick = 0; !this.failed; tick++) {
      const began = performance.now()
      if (tick % 20 === 0) {
        const { ready, delayed, leased } = await queue.count(name)
        waiting = ready + delayed + leased
      }
      if (waiting < longestBacklog) {
        const bursting = began >= burstAt
        if (bursting) burstAt += this.#options.burstEveryMs
        const count = perTick * (bursting ? (burst * 1_000) / tickMs : 1)
        const messages = Array.from({ length: count }, () => this.#message(name, queue))
        await queue.send(name, messages)
        if (queue.capabilities.cancel && tick % 20 === 0) await queue.cancel(name, [messages[0]!.id])
      }
      await this.#pause(tickMs - (performance.now() - began))
    }
  }

  #message(name: Name, { capabilities }: QueuePort): OutgoingMessage {
    const id = `${this.#name}-${++this.#sent}`
    const plain = {
      id,
      body,
      ...(capabilities.delay && randomInt(20) === 0 ? { delayMs: randomInt(3_000) } : {}),
    }
    if (name === 'plain') return plain
    const waitsFor = capabilities.flow && randomInt(50) === 0 ? this.#lastRuled : undefined
    this.#lastRuled = id
    return {
      ...plain,
      ...(capabilities.keyOrder ? { key: `k${randomInt(500)}` } : {}),
      ...(capabilities.priority ? { priority: randomInt(3) } : {}),
      ...(capabilities.groups ? { group: `g${randomInt(20)}` } : {}),
      ...(capabilities.dedup
        ? { dedup: { key: randomInt(10) === 0 ? `d${randomInt(50)}` : randomUUID(), forMs: 2_000 } }
        : {}),
      ...(waitsFor === undefined ? {} : { after: { ids: [waitsFor], anyEnd: true } }),
    }
  }

  async #consume(name: Name): Promise<void> {
    const queue = this.#engine.queue!
    while (!this.failed) {
      const began = performance.now()
      const claimed = await queue.claim(name, { limit: 100, leaseMs: 3_000, waitMs: 0 })
      if (claimed.length === 0) {
        await this.#pause(20)
        continue
      }
      this.claimMs[name].push(performance.now() - began)
      if (randomInt(10) === 0)
        await queue.extend(
          name,
          claimed.filter((_, at) => at % 3 === 0).map(({ lease }) => lease),
          5_000,
        )
      const settlements = claimed.flatMap((message) => endOf(message))
      await queue.settle(name, settlements)
      this.handled += settlements.length
      await this.#pause(5)
    }
  }

  /** Dead letters are redriven or removed, so that they stay few. */
  async #tidy(name: Name): Promise<void> {
    const queue = this.#engine.queue!
    while (!this.failed) {
      await this.#pause(1_000)
      const dead = await queue.deadLetters(name, { limit: 20 })
      await queue.redrive(
        name,
        dead.filter((_, at) => at % 2 === 0).map(({ handle }) => handle),
      )
      if (queue.capabilities.purge) await queue.purge(name, 'dead')
      if (queue.capabilities.finished) await queue.trimFinished(name)
    }
  }

  async #stream(): Promise<void> {
    const spillway = await open(this.#engine)
    const events = await spillway.stream('events', {
      data: unchecked<{ key: number; text: string }>(),
      key: ({ key }) => `${key}`,
      partitions: 4,
      retain: { bytes: this.#options.keep.bytes },
    })
    const subscription = events.subscribe('readers', () => {
      this.handled++
    })
    const perTick = Math.max(1, Math.round((this.#options.rate * tickMs) / 1_000))
    try {
      while (!this.failed) {
        const began = performance.now()
        await events.appendMany(
          Array.from({ length: perTick }, () => ({ key: randomInt(500), text: 'x'.repeat(200) })),
        )
        await this.#pause(tickMs - (performance.now() - began))
      }
    } finally {
      await subscription.stop()
    }
  }

  #pause(ms: number): Promise<void> {
    return delay(Math.max(0, ms), undefined, { signal: this.#closing.signal }).catch(() => {})
  }
}

/** One in five hundred is left to the end of its lease. */
function endOf({ lease, starts }: ClaimedMessage): Settlement[] {
  const chance = randomInt(500)
  if (chance === 0) return []
  if (chance < 20 && starts < 4) return [{ lease, kind: 'retry', delayMs: randomInt(2_000), reason: 'again' }]
  if (chance < 25) return [{ lease, kind: 'release' }]
  if (chance < 27) return [{ lease, kind: 'dead-letter', reason: 'for the soak' }]
  return [{ lease, kind: 'done' }]
}

function rulesOf({ capabilities }: QueuePort, count: number): QueueRules {
  const known = capabilities as unknown as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    Object.entries({ ...rules, finished: { count } }).filter(([name]) => known[name] === true),
  )
}
