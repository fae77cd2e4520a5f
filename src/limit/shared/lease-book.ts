// What this process holds of shared buckets: how much is left of each lease, and until when it may be used.
//
// A lease is used only before its end by this process's own monotonic clock, counted from before the store was asked, so that the store never ends
// it earlier. Whoever asks the store about a bucket takes its lease out of the book first: what was used is told, the rest given back, and what the
// store then leases comes in. Nothing is used twice, and nobody uses what is being settled.
import { type Algorithm, boundOf } from '../../core/bucket/algorithm.ts'

/** Buckets that hold less are asked for each time: a lease would be all of them. */
const leastBound = 64
/** The share of its time during which a lease is used: clocks of two machines do not run exactly alike. */
const safeShare = 0.95
/** Places of concurrency that are held in advance. */
const mostSpare = 8
/** Buckets of which is known how busy they are. Those beyond are asked for each time. */
const mostBuckets = 100_000

export interface Lease {
  /** What was leased, and what of it has been used; of concurrency, what is in use. */
  units: number
  used: number
  endsMs: number
}

interface Entry {
  algorithm: Algorithm
  lease: Lease | undefined
  /** Who asks the store about the bucket now. */
  asking: Promise<void> | undefined
  /** Of concurrency: what is in use, leased or not. */
  inUse: number
  /** What was told as used and not answered: nobody knows whether the store counts it, so it is told again. */
  untold: number
  /** What was asked for since `sinceMs`, and in the lease's time before that. */
  asked: number
  askedBefore: number
  sinceMs: number
  /** What the store said was left. */
  available: number
  /** Of all questions, the number of the last one about this bucket, and of the last that was answered. */
  question: number
  answered: number
}

export class LeaseBook {
  readonly leaseMs: number
  readonly #entries = new Map<string, Entry>()
  /** What was asked for until then is leased by rules that are no longer in force. */
  #recalledMs = Number.NEGATIVE_INFINITY
  #questions = 0

  constructor(leaseMs: number) {
    this.leaseMs = leaseMs
  }

  /** Whether the bucket is entered. */
  has(bucket: string): boolean {
    return this.#entries.has(bucket)
  }

  /** Whether the lease is the one that is used now. */
  isOut(bucket: string, lease: Lease): boolean {
    return this.#entries.get(bucket)?.lease === lease
  }

  /** What is in use of concurrency. */
  inUse(bucket: string): number {
    return this.#entries.get(bucket)?.inUse ?? 0
  }

  /** What is left as far as is known here; undefined where nothing is. */
  remaining(bucket: string): number | undefined {
    const entry = this.#entries.get(bucket)
    return entry?.lease && entry.available - entry.lease.used
  }

  /** Whether the bucket can be leased at all; then it is entered. */
  enters(bucket: string, algorithm: Algorithm, nowMs: number): boolean {
    const entry = this.#entries.get(bucket)
    if (entry !== undefined) {
      entry.algorithm = algorithm
      return true
    }
    if (algorithm.kind !== 'concurrency' && boundOf(algorithm) < leastBound) return false
    // What is in use is always entered: there is no more of it than there is work under way.
    if (algorithm.kind !== 'concurrency' && this.#entries.size >= mostBuckets) return false
    const none = { lease: undefined, asking: undefined, inUse: 0, untold: 0, asked: 0, askedBefore: 0 }
    const unheard = { available: 0, question: 0, answered: 0 }
    this.#entries.set(bucket, { ...none, ...unheard, algorithm, sinceMs: nowMs })
    return true
  }

  /** Until nobody asks the store about the bucket; undefined when nobody does. */
  asking(bucket: string): Promise<void> | undefined {
    return this.#entries.get(bucket)?.asking
  }

  /** Whether a lease has so much left here and now. Without a lease not even nothing: the store is asked. */
  covers(bucket: string, cost: number, nowMs: number): boolean {
    const lease = this.#entries.get(bucket)?.lease
    return lease !== undefined && nowMs < lease.endsMs && cost <= lease.units - lease.used
  }

  /** Whether the store said that there is not so much, leased or not. */
  lacks(bucket: string, cost: number): boolean {
    const entry = this.#entries.get(bucket)
    return entry !== undefined && entry.available - (entry.lease?.used ?? 0) < cost
  }

  /** How many questions there were. */
  get questions(): number {
    return this.#questions
  }

  /** How many places the store said are left, when it was asked after so many questions; undefined where it has not said since. */
  placesSince(bucket: string, questions: number): number | undefined {
    const entry = this.#entries.get(bucket)
    return entry === undefined || entry.answered <= questions ? undefined : entry.available - entry.inUse
  }

  /** Counts what is asked for, by which the next lease is measured. */
  count(bucket: string, cost: number, nowMs: number): void {
    const entry = this.#entries.get(bucket)!
    this.#age(entry, nowMs)
    entry.asked += cost
  }

  take(bucket: string, cost: number): Lease {
    const { lease } = this.#entries.get(bucket)!
    lease!.used += cost
    return lease!
  }

  /** Work of concurrency begins. */
  begin(bucket: string, units: number): void {
    const entry = this.#entries.get(bucket)
    if (entry) entry.inUse += units
  }

  /** It is over. */
  end(bucket: string, units: number): void {
    const entry = this.#entries.get(bucket)
    if (entry === undefined) return
    entry.inUse = Math.max(0, entry.inUse - units)
    if (entry.lease) entry.lease.used = Math.max(0, entry.lease.used - units)
  }

  /** Takes the lease out, to be settled: what was used of it, and what to wish for. `asking` is over when the answer is entered. */
  settle(
    bucket: string,
    asking: Promise<void>,
    nowMs: number,
  ): { readonly used: number; readonly hold: number } {
    const entry = this.#entries.get(bucket)!
    const { lease, algorithm } = entry
    entry.lease = undefined
    entry.asking = asking
    this.#questions += 1
    entry.question = this.#questions
    this.#age(entry, nowMs)
    const isHeld = algorithm.kind === 'concurrency'
    const used = isHeld ? entry.inUse : (lease?.used ?? 0) + entry.untold
    if (!isHeld) entry.untold = used
    const busy = Math.max(entry.asked, entry.askedBefore)
    // The first time nothing is known: most buckets are asked for once. Of few places none is kept from others.
    if (busy < 2 || boundOf(algorithm) < leastBound) return { used, hold: 0 }
    // After a penalty less than nothing is left.
    const wish = Math.max(0, Math.min(busy, Math.floor(entry.available / 2)))
    return { used, hold: isHeld ? Math.min(wish, mostSpare) : wish }
  }

  /** What the store leased; `sentMs` is from before it was asked. */
  enter(bucket: string, held: number, available: number, sentMs: number): void {
    const entry = this.#entries.get(bucket)!
    entry.asking = undefined
    entry.answered = entry.question
    entry.untold = 0
    entry.available = available + held
    const used = entry.algorithm.kind === 'concurrency' ? entry.inUse : 0
    const endsMs = sentMs <= this.#recalledMs ? sentMs : sentMs + this.leaseMs * safeShare
    entry.lease = held > 0 ? { units: held, used, endsMs } : undefined
  }

  /** No lease is used any more: each bucket is asked about before it is taken from again. */
  recall(nowMs: number): void {
    this.#recalledMs = nowMs
    for (const { lease } of this.#entries.values()) if (lease) lease.endsMs = Math.min(lease.endsMs, nowMs)
  }

  /** The store did not answer. If it did not hear the question either, what was used has to be told again; if it did, the bucket is the poorer. */
  lose(bucket: string): void {
    const entry = this.#entries.get(bucket)
    if (entry) entry.asking = undefined
  }

  /** Buckets whose leases end within `ms`, and that nobody asks about. Forgets those that are not busy. */
  ending(nowMs: number, ms: number): { readonly bucket: string; readonly algorithm: Algorithm }[] {
    const due: { readonly bucket: string; readonly algorithm: Algorithm }[] = []
    for (const [bucket, entry] of this.#entries) {
      if (entry.asking !== undefined) continue
      if (entry.lease !== undefined || entry.inUse > 0) {
        if ((entry.lease?.endsMs ?? 0) - nowMs <= ms) due.push({ bucket, algorithm: entry.algorithm })
      } else if (nowMs - entry.sinceMs >= 2 * this.leaseMs) this.#entries.delete(bucket)
    }
    return due
  }

  #age(entry: Entry, nowMs: number): void {
    const elapsed = nowMs - entry.sinceMs
    if (elapsed < this.leaseMs) return
    entry.askedBefore = elapsed < 2 * this.leaseMs ? entry.asked : 0
    entry.asked = 0
    entry.sinceMs = nowMs
  }
}
