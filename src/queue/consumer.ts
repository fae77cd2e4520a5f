// Working off a queue: claim, handle, settle. One loop, one timer and one settle call at a time for the whole
// consumer, however many messages are under way.
import { backoff, pauseAfter, type RetryPolicy, retryPolicy } from '../core/backoff.ts'
import { blockedLoop } from '../core/blocked-loop.ts'
import { type Clock, sleep, systemClock } from '../core/clock.ts'
import { checkConcurrency } from '../core/concurrency.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { unseal } from '../core/envelope.ts'
import { asError, asSpillwayError, isFinal, SpillwayError } from '../core/errors.ts'
import { type Background, background } from '../core/lifecycle.ts'
import type { Message } from '../core/message.ts'
import { outcomeOf, reasonText } from '../core/outcome.ts'
import { guarded, type OnReport } from '../core/report.ts'
import type { ClaimedMessage, QueuePort } from '../ports/queue.ts'
import { Delivery } from './delivery.ts'
import { Settler } from './settler.ts'

/**
 * Handles one message. Returning means done; `return retry()` and `return deadLetter(reason)` say otherwise; throwing
 * means retry by the policy. It should pass `signal` on: it fires at the deadline, when the lease is lost, and
 * at the end of a graceful stop.
 */
export type Handler<Out> = (message: Message<Out>, delivery: Delivery) => unknown

export interface ConsumeOptions {
  /** How many messages are handled at the same time. Default 10. */
  readonly concurrency?: number
  /** How long a silent consumer keeps a message. Renewed while the handler runs. Default 30 s. */
  readonly lease?: Duration
  /** Told of everything that went wrong and was survived. */
  readonly onReport?: OnReport
  readonly clock?: Clock
}

export type Consumer = Background

/** How long after its abort an attempt at stop may linger before its lease is given back all the same. */
const lingerMs = 1_000

export function consume<Out>(
  contract: QueueContract<unknown, Out>,
  port: QueuePort,
  handler: Handler<Out>,
  options: ConsumeOptions,
): Consumer {
  const clock = options.clock ?? systemClock
  const settings: Settings = {
    concurrency: checkConcurrency(options.concurrency),
    leaseMs: milliseconds(options.lease ?? '30s', 'lease'),
    deadlineMs: milliseconds(contract.deadline ?? '5m', 'deadline'),
    retry: retryPolicy(contract.retry),
  }
  const { leaseMs } = settings
  if (leaseMs < port.limits.minLeaseMs)
    throw new SpillwayError(
      'INVALID_OPTION',
      `lease is ${leaseMs} ms; this engine can renew none shorter than ${port.limits.minLeaseMs} ms.`,
    )
  const worker = new Worker(contract, port, handler, settings, clock, options.onReport)
  return background((signals) => worker.run(signals.stopping, signals.abandon), clock)
}

interface Settings {
  readonly concurrency: number
  readonly leaseMs: number
  readonly deadlineMs: number
  readonly retry: RetryPolicy
}

class Worker<Out> {
  readonly #contract: QueueContract<unknown, Out>
  readonly #port: QueuePort
  readonly #handler: Handler<Out>
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #report: (error: SpillwayError, messageId?: string) => void
  readonly #settler: Settler
  /** Claimed, waiting for a free place. */
  readonly #waiting: Held[] = []
  readonly #running = new Set<Delivery>()
  #changed: (() => void) | undefined
  #stopping = false

  constructor(
    contract: QueueContract<unknown, Out>,
    port: QueuePort,
    handler: Handler<Out>,
    settings: Settings,
    clock: Clock,
    onReport: OnReport | undefined,
  ) {
    this.#contract = contract
    this.#port = port
    this.#handler = handler
    this.#settings = settings
    this.#clock = clock
    const from = `the consumer of ${contract.queue}`
    const report = guarded(onReport)
    this.#report = (error, messageId) => report({ from, error, messageId })
    this.#settler = new Settler(contract.queue, port, clock, settings.leaseMs, this.#report)
  }

  async run(stopping: AbortSignal, abandon: AbortSignal): Promise<void> {
    const cancelTick = this.#everyTick()
    const onStop = () => {
      this.#stopping = true
      this.#change()
    }
    stopping.addEventListener('abort', onStop, { once: true })
    try {
      await this.#claimUntil(stopping)
    } finally {
      this.#stopping = true
      for (const { message } of this.#waiting.splice(0))
        this.#settler.add({ lease: message.lease, kind: 'release' })
      await this.#finish(abandon)
      cancelTick()
      await this.#settler.close(abandon)
    }
  }

  /** The loop: claims as much as there is room for, with as much again in reserve so that no place waits for a claim. */
  async #claimUntil(stopping: AbortSignal): Promise<void> {
    const { concurrency, leaseMs } = this.#settings
    let failures = 0
    while (!stopping.aborted) {
      const room = 2 * concurrency - this.#running.size - this.#waiting.length
      if (room < Math.min(concurrency, 2 * concurrency - 1) / 2 || this.#settler.full) {
        await this.#untilChanged()
        continue
      }
      try {
        const claimed = await this.#port.claim(this.#contract.queue, {
          limit: room,
          leaseMs,
          waitMs: 30_000,
          signal: stopping,
        })
        failures = 0
        const heldUntil = this.#clock.elapsed() + leaseMs
        for (const message of claimed) this.#waiting.push({ message, heldUntil })
        this.#startWaiting()
      } catch (thrown) {
        if (stopping.aborted) return
        if (isFinal(thrown)) {
          this.#report(thrown)
          throw thrown
        }
        this.#report(asSpillwayError(thrown))
        failures += 1
        await sleep(this.#clock, pauseAfter(failures), stopping).catch(() => {})
      }
    }
  }

  #startWaiting(): void {
    while (this.#running.size < this.#settings.concurrency && !this.#stopping) {
      const held = this.#waiting.shift()
      if (!held) return
      this.#start(held)
    }
  }

  #start({ message: claimed, heldUntil }: Held): void {
    const { retry, deadlineMs } = this.#settings
    if (claimed.starts > retry.attempts) {
      const reason = `it was started ${claimed.starts - 1} times and never settled: its handler may have ended the process, or outlived its lease`
      this.#settler.add({ lease: claimed.lease, kind: 'dead-letter', reason })
      return
    }
    const opened = unseal(this.#contract, claimed.body)
    const delivery = new Delivery(claimed, this.#clock.elapsed() + deadlineMs, heldUntil)
    this.#running.add(delivery)
    if (opened instanceof Promise) void opened.then((message) => this.#handle(delivery, message))
    else void this.#handle(delivery, opened)
  }

  async #handle(delivery: Delivery, opened: Message<Out> | SpillwayError): Promise<void> {
    if (opened instanceof SpillwayError) {
      this.#report(opened, delivery.id)
      this.#end(delivery, { kind: 'dead-letter', reason: reasonText(opened.message) })
      return
    }
    let result: unknown
    try {
      result = await this.#handler(opened, delivery)
    } catch (thrown) {
      this.#failed(delivery, thrown)
      return
    }
    const said = outcomeOf(result)
    if (!said) return this.#end(delivery, { kind: 'done' })
    if (said.outcome === 'dead-letter')
      return this.#end(delivery, { kind: 'dead-letter', reason: said.reason })
    this.#retry(delivery, said.reason ?? 'the handler asked for a retry', said.delayMs)
  }

  #failed(delivery: Delivery, thrown: unknown): void {
    if (delivery.ended) return
    const error = asError(thrown)
    if (this.#stopping && delivery.aborted) {
      this.#end(delivery, { kind: 'release' })
      return
    }
    const what = `Handling message ${delivery.id} of ${this.#contract.queue} failed at attempt ${delivery.attempt}: ${error.message}.`
    this.#report(new SpillwayError('HANDLER_FAILED', what, { cause: thrown }), delivery.id)
    this.#retry(delivery, error.message)
  }

  #retry(delivery: Delivery, reason: string, delayMs?: number): void {
    const { retry } = this.#settings
    if (delivery.attempt >= retry.attempts) {
      this.#end(delivery, {
        kind: 'dead-letter',
        reason: reasonText(`attempt ${delivery.attempt} of ${retry.attempts}: ${reason}`),
      })
      return
    }
    this.#end(delivery, { kind: 'retry', delayMs: delayMs ?? backoff(retry, delivery.attempt) })
  }

  #end(delivery: Delivery, ending: Ending): void {
    if (!this.#release(delivery)) return
    this.#settler.add({ lease: delivery.lease, ...ending })
  }

  /** Frees the place of a delivery; false when it was ended before. */
  #release(delivery: Delivery): boolean {
    if (delivery.ended) return false
    delivery.end()
    this.#running.delete(delivery)
    this.#startWaiting()
    this.#change()
    return true
  }

  /** One timer for all: renews leases at a third of their time, ends attempts past their deadline, notices a blocked loop. */
  #everyTick(): () => void {
    const { leaseMs, deadlineMs } = this.#settings
    const tickMs = Math.max(10, Math.min(leaseMs / 3, deadlineMs / 2, 1_000))
    let renewedAt = this.#clock.elapsed()
    let last = renewedAt
    let cancel = () => {}
    const tick = () => {
      const now = this.#clock.elapsed()
      const blocked = blockedLoop(now - last - tickMs, leaseMs, 'lease')
      if (blocked) this.#report(blocked)
      last = now
      for (const delivery of this.#running) if (now >= delivery.deadlineAt) this.#timeOut(delivery)
      if (now - renewedAt >= leaseMs / 3 - tickMs / 2) {
        renewedAt = now
        void this.#renew()
      }
      cancel = this.#clock.after(tickMs, tick)
    }
    cancel = this.#clock.after(tickMs, tick)
    return () => cancel()
  }

  #timeOut(delivery: Delivery): void {
    const what = `Message ${delivery.id} of ${this.#contract.queue} was not handled within ${this.#settings.deadlineMs} ms.`
    const error = new SpillwayError('HANDLER_TIMEOUT', what)
    delivery.abort(error)
    this.#report(error, delivery.id)
    this.#retry(delivery, error.message)
  }

  async #renew(): Promise<void> {
    const running = [...this.#running]
    const waiting = [...this.#waiting]
    const leases = [
      ...running.map((delivery) => delivery.lease),
      ...waiting.map(({ message }) => message.lease),
    ]
    if (leases.length === 0) return
    const heldUntil = this.#clock.elapsed() + this.#settings.leaseMs
    try {
      const results = await this.#port.extend(this.#contract.queue, leases, this.#settings.leaseMs)
      results.forEach((result, index) => {
        const held = running[index] ?? waiting[index - running.length]!
        if (result === 'extended') held.heldUntil = heldUntil
        else this.#forget(held)
      })
    } catch (thrown) {
      this.#report(asSpillwayError(thrown))
      // Nobody can say any more that these are ours: another consumer may have them by now.
      for (const held of [...running, ...waiting])
        if (this.#clock.elapsed() >= held.heldUntil) this.#forget(held)
    }
  }

  #forget(held: Delivery | Held): void {
    if (held instanceof Delivery) {
      this.#lost(held)
      return
    }
    const index = this.#waiting.indexOf(held)
    if (index >= 0) this.#waiting.splice(index, 1)
  }

  #lost(delivery: Delivery): void {
    if (delivery.ended) return
    const error = new SpillwayError(
      'LEASE_LOST',
      `The lease of message ${delivery.id} of ${this.#contract.queue} was lost while it was handled.`,
    )
    delivery.abort(error)
    this.#release(delivery)
    this.#report(error, delivery.id)
  }

  /** Waits for what is under way; once `abandon` fires aborts it, and after a moment gives the leases back regardless. */
  async #finish(abandon: AbortSignal): Promise<void> {
    const abort = () => {
      for (const delivery of this.#running)
        delivery.abort(new SpillwayError('ABORTED', 'The consumer is stopping.'))
      this.#clock.after(lingerMs, () => {
        for (const delivery of this.#running) this.#end(delivery, { kind: 'release' })
      })
    }
    if (abandon.aborted) abort()
    else abandon.addEventListener('abort', abort, { once: true })
    while (this.#running.size > 0) await this.#untilChanged()
    abandon.removeEventListener('abort', abort)
  }

  #untilChanged(): Promise<void> {
    if (this.#settler.full) return this.#settler.drained()
    return new Promise((resolve) => {
      this.#changed = resolve
    })
  }

  #change(): void {
    this.#changed?.()
    this.#changed = undefined
  }
}

/** Claimed, and not started yet. */
interface Held {
  readonly message: ClaimedMessage
  heldUntil: number
}

type Ending =
  | { readonly kind: 'done' | 'release' }
  | { readonly kind: 'retry'; readonly delayMs: number }
  | { readonly kind: 'dead-letter'; readonly reason: string }
