// The port of limits: one script call for many requests, on the server's clock.
import { randomBytes } from 'node:crypto'
import { monotonicUs, ServerClock } from '../../core/server-clock.ts'
import { checkExchange, type LimitExchange, type LimitPort, type LimitVerdict } from '../../ports/limit.ts'
import { closedError, translate, wordOf } from './errors.ts'
import { script } from './exchange-script.ts'
import { GroupCommit } from './group-commit.ts'
import type { Link } from './link.ts'
import { decideOverSlots, type OverSlots } from './over-slots.ts'
import { packed, type ScriptRequest, scriptHash, unpacked } from './pack.ts'
import { Places } from './places.ts'
import { slotOf } from './slot.ts'

export interface RedisLimitOptions {
  readonly statement: string
  readonly prefix: string
  readonly timeoutMs: number
}

/** In a cluster each call carries one slot, so more of them are on their way. */
const inFlight = { server: 8, cluster: 64 } as const
/** Requests over several slots that are decided at a time: each has a lease in its buckets, and a bucket is read and written with all that it has. */
const overSlotsAtOnce = 64

export class RedisLimit implements LimitPort {
  readonly statement: string
  readonly severalClocks: boolean
  readonly #link: Link
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #clock = new ServerClock()
  readonly #calls: GroupCommit
  readonly #places: Places
  readonly #asked = new Set<Promise<LimitVerdict[]>>()
  /** Of requests over several slots: by this and their number they hold what they ask for. */
  readonly #name = randomBytes(9).toString('base64url')
  #requests = 0
  #closed = false

  constructor(link: Link, { statement, prefix, timeoutMs }: RedisLimitOptions) {
    this.statement = statement
    this.#link = link
    this.#prefix = `${prefix}:limit:`
    this.#timeoutMs = timeoutMs
    this.severalClocks = link.isCluster && slotOf(`${this.#prefix}a`) !== slotOf(`${this.#prefix}b`)
    this.#places = new Places(overSlotsAtOnce, timeoutMs)
    this.#calls = new GroupCommit({
      run: (requests) => this.#run(requests),
      inFlight: link.isCluster ? inFlight.cluster : inFlight.server,
      timeoutMs,
    })
  }

  async exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    if (this.#closed) throw closedError()
    checkExchange('redis', requests)
    if (requests.length === 0) return []
    const answer = this.#link.isCluster
      ? this.#inCluster(requests)
      : this.#calls.submit(
          requests,
          requests.map(() => 0),
        )
    this.#asked.add(answer)
    try {
      return await answer
    } catch (thrown) {
      throw translate(thrown, 'buckets were asked')
    } finally {
      this.#asked.delete(answer)
    }
  }

  /** Keys end by themselves. */
  async sweep(): Promise<number> {
    if (this.#closed) throw closedError()
    return 0
  }

  /** Resolves when what was asked is answered, or has waited as long as it may: between its phases a request is nowhere else. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#asked)
  }

  /** A script sees one slot of a cluster: what is over several is decided by itself. */
  async #inCluster(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    const slots = requests.map(({ asks }) => asks.map(({ bucket }) => slotOf(this.#prefix + bucket)))
    if (slots.every(isOne)) return this.#calls.submit(requests, slots.map(firstOf))
    const decide = async (at: number): Promise<LimitVerdict> =>
      isOne(slots[at]!)
        ? (await this.#calls.submit([requests[at]!], [firstOf(slots[at]!)]))[0]!
        : this.#places.use(() => decideOverSlots(requests[at]!, slots[at]!, this.#overSlots()))
    const buckets = requests.flatMap(({ asks }) => asks.map(({ bucket }) => bucket))
    if (new Set(buckets).size === buckets.length) return Promise.all(requests.map((_, at) => decide(at)))
    // The later ones see what the earlier took.
    const verdicts: LimitVerdict[] = []
    for (const at of requests.keys()) {
      if (this.#closed) throw closedError()
      verdicts.push(await decide(at))
    }
    return verdicts
  }

  #overSlots(): OverSlots {
    const name = `${this.#name} ${++this.#requests}`
    return {
      name,
      holdMs: 2 * this.#timeoutMs,
      submit: (requests, slot, anyway) =>
        this.#calls.submit(
          requests,
          requests.map(() => slot),
          anyway,
        ),
    }
  }

  async #run(requests: readonly ScriptRequest[]): Promise<LimitVerdict[]> {
    const sentUs = monotonicUs()
    const args = packed(requests, this.#prefix, this.#clock.latestUs(sentUs))
    const answer = await this.#evaluate(args)
    const verdicts = unpacked(requests, answer)
    const latest = verdicts.reduce((most, { nowUs }) => Math.max(most, nowUs), 0)
    this.#clock.heard(answer[0]!, latest, sentUs)
    return verdicts
  }

  async #evaluate(args: readonly (string | Buffer)[]): Promise<readonly number[]> {
    const key = args[1] as string
    try {
      return (await this.#link.send(key, ['EVALSHA', scriptHash, ...args])) as number[]
    } catch (thrown) {
      // The server was started anew, or is another one: it learns the script with its next call, which did nothing yet.
      if (wordOf(thrown) !== 'NOSCRIPT') throw thrown
      return (await this.#link.send(key, ['EVAL', script, ...args])) as number[]
    }
  }
}

function isOne(slots: readonly number[]): boolean {
  return slots.every((slot) => slot === slots[0])
}

function firstOf(slots: readonly number[]): number {
  return slots[0]!
}
