// Buckets that processes share in a store, as one process asks for them: what it leases, uses and gives back, and what is yet to be told.
import { randomBytes } from 'node:crypto'
import type { StoredAlgorithm } from '../../core/bucket/algorithm.ts'
import type { Clock } from '../../core/clock.ts'
import type { BucketAsk, LimitExchange, LimitPort, LimitVerdict } from '../../ports/limit.ts'
import type { Asked } from './asked-rule.ts'
import { LeaseBook } from './lease-book.ts'
import { banAsks } from './shared-bans.ts'
import { StoreAccess } from './store-access.ts'

/** What was taken or given back without asking, until it is told. */
export interface Untold {
  readonly algorithm: StoredAlgorithm
  penalty: number
  refunds: { readonly units: number; readonly takenUs: number }[]
}

/** A bucket, and what is asked of it. */
interface Asking {
  readonly bucket: string
  readonly algorithm: StoredAlgorithm
  readonly cost: number
}

/** Buckets of which something is untold. What is beyond is not told: the bucket is then the poorer, or the penalty is not taken. */
const mostUntold = 10_000
/** How soon it is told. */
const tellMs = 10
/** What one call of the store carries. */
const requestsAtOnce = 500

export class SharedBuckets {
  readonly book: LeaseBook
  readonly #store: StoreAccess
  readonly #clock: Clock
  readonly #holder = randomBytes(12).toString('base64url')
  readonly #untold = new Map<string, Untold>()
  #cancelTick: () => void
  #telling: (() => void) | undefined
  #isClosing = false

  constructor(store: LimitPort, clock: Clock, leaseMs: number, timeoutMs: number) {
    this.#store = new StoreAccess(store, clock, timeoutMs)
    this.#clock = clock
    this.book = new LeaseBook(leaseMs)
    this.#cancelTick = clock.after(leaseMs / 4, () => this.#tick())
    // So that the first decision does not wait for a thread that has to start, or a connection.
    void store.sweep().catch(() => {})
  }

  /** How long the store will not be asked; 0 when it may be. */
  get awayMs(): number {
    return this.#store.awayMs
  }

  /** One request, of buckets of which nothing is leased. Undefined when the store is away. */
  ask(asks: readonly BucketAsk[]): Promise<readonly LimitVerdict[] | undefined> {
    return this.#store.ask([this.#request(asks)])
  }

  /** One question, one request for each group. Undefined when the store is away. */
  async exchange(groups: readonly (readonly Asked[])[]): Promise<readonly LimitVerdict[] | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const sentMs = this.#clock.elapsed()
    const requests = groups.map((group) =>
      this.#request([...group.map((asked) => this.#ask(asked, promise)), ...banAsks(group, 0)]),
    )
    try {
      const verdicts = await this.#store.ask(requests)
      for (const [index, group] of groups.entries())
        for (const [at, { bucket, rule, cost }] of group.entries()) {
          if (!this.book.has(bucket)) continue
          if (verdicts === undefined) this.book.lose(bucket)
          else {
            const { allowed, buckets } = verdicts[index]!
            if (rule.isHeld && allowed) this.book.begin(bucket, cost)
            this.book.enter(bucket, buckets[at]!.held, buckets[at]!.available, sentMs)
          }
        }
      return verdicts
    } catch (thrown) {
      for (const { bucket } of groups.flat()) this.book.lose(bucket)
      throw thrown
    } finally {
      resolve()
    }
  }

  /** The same about buckets of which somebody else asks and settles the lease: under another name, that never has one. Not of concurrency, whose places are leases. */
  askBeside(groups: readonly (readonly Asked[])[]): Promise<readonly LimitVerdict[] | undefined> {
    const holder = `${this.#holder}+`
    const requests = groups.map((group) => {
      const asks = group.map(({ bucket, algorithm, cost }) => ({ bucket, algorithm, used: 0, cost, hold: 0 }))
      return { ...this.#request([...asks, ...banAsks(group, 0)]), holder }
    })
    return this.#store.ask(requests)
  }

  #request(asks: readonly BucketAsk[]): LimitExchange {
    return { holder: this.#holder, leaseMs: this.book.leaseMs, asks }
  }

  #ask({ bucket, algorithm, cost }: Asking, asking: Promise<void>): BucketAsk {
    const { used, hold } = this.book.has(bucket)
      ? this.book.settle(bucket, asking, this.#clock.elapsed())
      : { used: 0, hold: 0 }
    return { bucket, algorithm, used, cost, hold: this.#isClosing ? 0 : hold }
  }

  /** To be told soon. */
  tell({ bucket, algorithm }: Omit<Asking, 'cost'>, change: (untold: Untold) => void): void {
    const untold = this.#untold.get(bucket) ?? { algorithm, penalty: 0, refunds: [] }
    if (!this.#untold.has(bucket) && this.#untold.size >= mostUntold) return
    this.#untold.set(bucket, untold)
    change(untold)
    this.#telling ??= this.#clock.after(tellMs, () => {
      this.#telling = undefined
      void this.#settleAll([]).catch(() => {})
    })
  }

  /** What was leased by rules that are no longer in force is not used any more; what was taken or given back by them is told first. */
  recall(): void {
    this.book.recall(this.#clock.elapsed())
    if (this.#untold.size > 0) void this.#settleAll([], false).catch(() => {})
  }

  /** Gives back what is leased, and tells what is untold. */
  async close(): Promise<void> {
    // Known before anything is asked: nothing is leased anew.
    this.#isClosing = true
    this.#cancelTick()
    this.#telling?.()
    await this.#settleAll(this.book.ending(0, Number.POSITIVE_INFINITY)).catch(() => {})
  }

  /** Renews leases before they end, and gives back those that nobody uses. */
  #tick(): void {
    if (this.#isClosing) return
    const { leaseMs } = this.book
    const ending = this.book.ending(this.#clock.elapsed(), leaseMs / 3)
    void this.#settleAll(ending)
      .catch(() => {})
      .finally(() => {
        if (!this.#isClosing) this.#cancelTick = this.#clock.after(leaseMs / 4, () => this.#tick())
      })
  }

  /** Tells the store what it does not know of these buckets, and of those of which something is untold. */
  async #settleAll(buckets: readonly Omit<Asking, 'cost'>[], leases = true): Promise<void> {
    const untold = new Map(this.#untold)
    this.#untold.clear()
    const all = new Map<string, StoredAlgorithm>(buckets.map(({ bucket, algorithm }) => [bucket, algorithm]))
    for (const [bucket, { algorithm }] of untold) all.set(bucket, algorithm)
    while (all.size > 0) {
      // Between the end of one question and this turn somebody may have asked the next: two at once would settle one lease twice.
      const free = [...all].filter(([bucket]) => this.book.asking(bucket) === undefined)
      const some = free.slice(0, requestsAtOnce)
      if (some.length === 0) {
        await Promise.race([...all.keys()].map((bucket) => this.book.asking(bucket)))
        continue
      }
      for (const [bucket] of some) all.delete(bucket)
      const { promise, resolve } = Promise.withResolvers<void>()
      const sentMs = this.#clock.elapsed()
      const requests = some.flatMap(([bucket, algorithm]) => {
        const { penalty = 0, refunds = [] } = untold.get(bucket) ?? {}
        const settled = { ...this.#ask({ bucket, algorithm, cost: 0 }, promise), penalty }
        const ask = leases ? settled : { ...settled, hold: 0 }
        if (refunds.length === 0) return [this.#request([ask])]
        // What was used is told by the first, since each ends the lease; the last leases anew.
        const last = refunds.length - 1
        return refunds.map((refund, index) =>
          this.#request([
            {
              ...ask,
              refund,
              used: index === 0 ? ask.used : 0,
              hold: index === last ? ask.hold : 0,
              penalty: index === 0 ? penalty : 0,
            },
          ]),
        )
      })
      try {
        const verdicts = await this.#store.ask(requests)
        let at = -1
        for (const [bucket] of some) {
          at += untold.get(bucket)?.refunds.length || 1
          if (!this.book.has(bucket)) continue
          const answer = verdicts?.[at]?.buckets[0]
          if (answer) this.book.enter(bucket, answer.held, answer.available, sentMs)
          else this.book.lose(bucket)
        }
      } finally {
        for (const [bucket] of some) if (this.book.asking(bucket) === promise) this.book.lose(bucket)
        resolve()
      }
    }
  }
}
