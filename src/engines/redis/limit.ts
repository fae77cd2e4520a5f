// The port of limits: one script call for many requests, on the server's clock.
import { SpillwayError } from '../../core/errors.ts'
import { monotonicUs, ServerClock } from '../../core/server-clock.ts'
import { checkExchange, type LimitExchange, type LimitPort, type LimitVerdict } from '../../ports/limit.ts'
import { closedError, translate, wordOf } from './errors.ts'
import { script } from './exchange-script.ts'
import { GroupCommit } from './group-commit.ts'
import type { Link } from './link.ts'
import { packed, scriptHash, unpacked } from './pack.ts'
import { slotOf } from './slot.ts'

export interface RedisLimitOptions {
  readonly statement: string
  readonly prefix: string
  readonly timeoutMs: number
}

/** In a cluster each call carries one slot, so more of them are on their way. */
const inFlight = { server: 8, cluster: 64 } as const

export class RedisLimit implements LimitPort {
  readonly statement: string
  readonly #link: Link
  readonly #prefix: string
  readonly #timeoutMs: number
  readonly #clock = new ServerClock()
  readonly #calls: GroupCommit
  readonly #slotOfRequest: (request: LimitExchange) => number
  #closed = false

  constructor(link: Link, { statement, prefix, timeoutMs }: RedisLimitOptions) {
    this.statement = statement
    this.#link = link
    this.#prefix = `${prefix}:limit:`
    this.#timeoutMs = timeoutMs
    this.#calls = new GroupCommit({
      run: (requests) => this.#run(requests),
      inFlight: link.isCluster ? inFlight.cluster : inFlight.server,
      timeoutMs,
    })
    this.#slotOfRequest = link.isCluster ? (request) => this.#oneSlotOf(request) : () => 0
  }

  async exchange(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
    if (this.#closed) throw closedError()
    checkExchange('redis', requests)
    if (requests.length === 0) return []
    const slots = requests.map(this.#slotOfRequest)
    try {
      return await this.#calls.submit(requests, slots)
    } catch (thrown) {
      throw this.#closed ? closedError() : translate(thrown, 'buckets were asked')
    }
  }

  /** Keys end by themselves. */
  async sweep(): Promise<number> {
    if (this.#closed) throw closedError()
    return 0
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#calls.settled(this.#timeoutMs)
  }

  /** A script sees one slot of a cluster. */
  #oneSlotOf({ asks }: LimitExchange): number {
    const [first, ...others] = asks.map(({ bucket }) => slotOf(this.#prefix + bucket))
    if (others.every((slot) => slot === first)) return first!
    throw new SpillwayError(
      'CONFIGURATION',
      `A request asks ${asks.length} buckets that are in several slots of the Redis cluster, which decides no more than one at a time.`,
      {
        engine: 'redis',
        remedy:
          'Nothing was asked. What stands in braces decides the slot: open the engine with `?prefix={spillway}`, and all buckets are in one; or name the buckets of one request with the same text in braces.',
      },
    )
  }

  async #run(requests: readonly LimitExchange[]): Promise<LimitVerdict[]> {
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
