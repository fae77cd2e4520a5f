// The instances of a context: where they are by the topology, and which of them is asked next.
import type { Clock } from '../../core/clock.ts'
import { asSpillwayError, SpillwayError } from '../../core/errors.ts'
import type { OnReport } from '../../core/report.ts'
import type { SecureOptions } from '../../core/tls.ts'
import { Instance, parseAddress } from './instance.ts'

/** The base URLs of all instances, or what finds them: it is asked when the first call is made, and every ten seconds while calls are made. */
export type Addresses = readonly string[] | (() => readonly string[] | Promise<readonly string[]>)

const askAgainMs = 10_000
/** How long an instance that is listed no longer may take to end what is under way. */
const graceMs = 30_000
export const mostInstances = 1_000

/** Throws CONFIGURATION for what cannot be the instances of a context. */
export function checkAddresses(context: string, addresses: readonly string[]): void {
  if (!Array.isArray(addresses) || addresses.length > mostInstances)
    throw new SpillwayError(
      'CONFIGURATION',
      `The addresses of ${context} are no list of at most ${mostInstances}.`,
    )
  for (const address of addresses) parseAddress(address)
}

export interface InstancesOptions {
  readonly connections: number
  readonly tls: SecureOptions | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly onReport: OnReport | undefined
}

export class Instances {
  readonly #context: string
  readonly #addresses: Addresses
  readonly #options: InstancesOptions
  #all: readonly Instance[] = []
  #askedMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

  constructor(context: string, addresses: Addresses, options: InstancesOptions) {
    this.#context = context
    this.#addresses = addresses
    this.#options = options
    if (typeof addresses !== 'function') this.#set(addresses)
  }

  get all(): readonly Instance[] {
    return this.#all
  }

  /** Resolves when it is known where they are; undefined when it is. Rejects when that was never found out. */
  known(): Promise<void> | undefined {
    const find = this.#addresses
    if (typeof find !== 'function') return undefined
    if (this.#options.clock.elapsed() - this.#askedMs >= askAgainMs) this.#asking ??= this.#ask(find)
    return this.#all.length === 0 ? this.#asking : undefined
  }

  /**
   * Of two at random the one with less under way (Mitzenmacher, "The Power of Two Choices", 2001), among those that are well and not to be avoided. When
   * none is well, all are asked: who was away a moment ago may be back.
   */
  pick(avoid: ReadonlySet<Instance>): Instance | undefined {
    const all = this.#all
    if (all.length <= 1) return all[0]
    const others = avoid.size === 0 ? all : all.filter((instance) => !avoid.has(instance))
    const well = others.filter((instance) => instance.isWell)
    const from = [well, all.filter((instance) => avoid.has(instance) && instance.isWell), others, all].find(
      ({ length }) => length > 0,
    )!
    const first = this.#below(from.length)
    if (from.length === 1) return from[first]
    const second = (first + 1 + this.#below(from.length - 1)) % from.length
    return from[second]!.inFlight < from[first]!.inFlight ? from[second] : from[first]
  }

  async close(closeGraceMs: number): Promise<void> {
    await Promise.all(this.#all.map((instance) => instance.close(closeGraceMs)))
  }

  #below(count: number): number {
    return Math.floor(this.#options.random() * count)
  }

  async #ask(find: () => readonly string[] | Promise<readonly string[]>): Promise<void> {
    try {
      this.#set(await find())
      this.#askedMs = this.#options.clock.elapsed()
    } catch (thrown) {
      const error = new SpillwayError(
        'UNREACHABLE',
        `Where ${this.#context} is could not be found out: ${asSpillwayError(thrown).message}`,
        { cause: thrown, remedy: 'What was known before is used; it is asked again.' },
      )
      // The next call asks again, and not every one of a thousand at once.
      this.#askedMs = this.#options.clock.elapsed() - askAgainMs + 1_000
      if (this.#all.length === 0) throw error
      this.#options.onReport?.({ from: `the addresses of ${this.#context}`, error })
    } finally {
      this.#asking = undefined
    }
  }

  /** Those that stay keep their connections. */
  #set(addresses: readonly string[]): void {
    checkAddresses(this.#context, addresses)
    const before = new Map(this.#all.map((instance) => [instance.address, instance]))
    const now = new Map<string, Instance>()
    for (const address of addresses) {
      const made = new Instance(address, this.#options)
      now.set(made.address, before.get(made.address) ?? now.get(made.address) ?? made)
    }
    this.#all = [...now.values()]
    for (const [address, instance] of before) if (!now.has(address)) void instance.close(graceMs)
  }
}
