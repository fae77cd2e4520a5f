// Wakes who waits for a queue, a stream or a group: at once in this process, by LISTEN/NOTIFY in others. A NOTIFY is sent
// after the commit that it tells of, never within it (it serialises the commits of the whole server), and for all topics
// of a few milliseconds together. Notifications may be lost: who waits looks again by itself after `pollMs`.
import { randomBytes } from 'node:crypto'
import { backoff } from '../../core/backoff.ts'
import { systemClock } from '../../core/clock.ts'
import type { PgClient, PgNotification } from './client.ts'

export interface WakeOptions {
  readonly channel: string
  readonly notify: (channel: string, payload: string) => Promise<unknown>
  /** Takes a connection of its own to listen on; absent where the server cannot be listened to. */
  readonly listen?: (() => Promise<PgClient>) | undefined
}

interface Topic {
  turn: number
  readonly waiting: Set<() => void>
}

/** PostgreSQL takes just under 8,000 bytes. */
const maxPayload = 7_000
const everything = '*'
const debounceMs = 5
const reconnect = { attempts: 1, initialMs: 100, maxMs: 5_000 }

export class Wake {
  /** How long a wait lasts at most: the backstop. */
  readonly pollMs: number
  /** Whether other processes are heard of without asking. */
  readonly listening: boolean
  readonly #options: WakeOptions
  /** So that a process is not woken by itself. */
  readonly #sender = randomBytes(6).toString('hex')
  readonly #topics = new Map<string, Topic>()
  readonly #dirty = new Set<string>()
  #notifying: Promise<void> | undefined
  #drop: (() => void) | undefined
  #cancelReconnect = (): void => {}
  #interrupted = false
  #closed = false

  constructor(options: WakeOptions) {
    this.#options = options
    this.listening = options.listen !== undefined
    this.pollMs = options.listen === undefined ? 100 : 1_000
  }

  /** Begins to listen; while that fails, waits end by `pollMs`. */
  async start(attempt = 1): Promise<void> {
    if (this.#options.listen === undefined || this.#closed) return
    let drop = (): void => {}
    try {
      const client = await this.#options.listen()
      drop = once(() => client.release(true))
      client.on('error', () => {
        drop()
        if (this.#drop !== drop) return
        this.#drop = undefined
        this.#retry(1)
      })
      client.on('notification', (message) => this.#receive(message))
      await client.query(`listen "${this.#options.channel}"`)
      if (this.#closed) return drop()
      this.#drop = drop
      // What happened before is unknown.
      this.#wakeAll()
    } catch {
      drop()
      this.#retry(attempt)
    }
  }

  /** Something came into being: wakes who waits for the topic, here and in other processes. */
  changed(topic: string): void {
    this.#wake(topic)
    this.#dirty.add(topic)
    if (!this.#closed) this.#notifying ??= this.#notify()
  }

  /** Where the topic is now: taken before looking, so that what comes after the look ends the wait. */
  turn(topic: string): number {
    return this.#topics.get(topic)?.turn ?? 0
  }

  /** Resolves when the topic has moved on since `turn`, after `ms` (at most `pollMs`), or when the signal fires. */
  wait(topic: string, turn: number, ms: number, signal?: AbortSignal): Promise<void> {
    const entry = this.#topic(topic)
    if (entry.turn !== turn || this.#interrupted || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        entry.waiting.delete(end)
        signal?.removeEventListener('abort', end)
        resolve()
      }
      const cancel = systemClock.after(Math.min(ms, this.pollMs), end)
      entry.waiting.add(end)
      signal?.addEventListener('abort', end, { once: true })
    })
  }

  /** Ends all waits, also those to come. */
  interrupt(): void {
    this.#interrupted = true
    this.#wakeAll()
  }

  /** Tells others what is still to be told, and stops listening. */
  async close(): Promise<void> {
    this.interrupt()
    this.#closed = true
    this.#cancelReconnect()
    await this.#notifying
    this.#drop?.()
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = { turn: 0, waiting: new Set() }
      this.#topics.set(name, topic)
    }
    return topic
  }

  #wake(name: string): void {
    const topic = this.#topic(name)
    topic.turn += 1
    for (const end of [...topic.waiting]) end()
  }

  #wakeAll(): void {
    for (const name of [...this.#topics.keys()]) this.#wake(name)
  }

  async #notify(): Promise<void> {
    while (this.#dirty.size > 0) {
      const topics = [...this.#dirty].join(' ')
      this.#dirty.clear()
      const payload = `${this.#sender} ${topics.length > maxPayload ? everything : topics}`
      // A lost notification costs its receiver one poll.
      await this.#options.notify(this.#options.channel, payload).catch(() => {})
      if (!this.#closed) await new Promise<void>((resolve) => systemClock.after(debounceMs, resolve))
    }
    this.#notifying = undefined
  }

  #receive(message: PgNotification): void {
    const [sender, ...topics] = (message.payload ?? '').split(' ')
    if (message.channel !== this.#options.channel || sender === this.#sender) return
    for (const topic of topics) if (topic === everything) this.#wakeAll()
    for (const topic of topics) if (this.#topics.has(topic)) this.#wake(topic)
  }

  #retry(attempt: number): void {
    if (this.#closed) return
    const ms = backoff(reconnect, attempt)
    this.#cancelReconnect = systemClock.after(ms, () => void this.start(attempt + 1))
  }
}

function once(act: () => void): () => void {
  let done = false
  return () => {
    if (!done) act()
    done = true
  }
}
