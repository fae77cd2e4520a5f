// What a client has learnt of the limits of others, by origin and policy: shared by all of its requests, and bounded.
import type { Clock } from '../../../core/clock.ts'
import { Gate } from './gate.ts'
import type { Told } from './told.ts'

/** Of each kind. What was used longest ago and nobody needs is forgotten: then a request leaves and is told again. */
const mostKnown = 1_000

interface Route {
  readonly gate: Gate
  /** The names of the policies that answered for it. */
  policies: readonly string[]
}

export class Known {
  readonly #clock: Clock
  readonly #random: () => number
  /** By method, origin and path. */
  readonly #routes = new Map<string, Route>()
  /** By origin and policy. */
  readonly #policies = new Map<string, Gate>()

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock
    this.#random = random
  }

  get size(): number {
    return this.#routes.size + this.#policies.size
  }

  /** The gates that a request has to pass, as far as they are known. */
  gatesOf(origin: string, route: string): readonly Gate[] {
    const known = this.#routes.get(route)
    if (!known) return none
    this.#routes.delete(route)
    this.#routes.set(route, known)
    const gates = [known.gate]
    for (const name of known.policies) {
      const gate = this.#policies.get(policyKey(origin, name))
      if (gate) gates.push(gate)
    }
    return gates
  }

  /** Takes in what the answer to what was sent at `sentMs` said. `refusedMs`: it was a refusal, to be heeded for so long. */
  learn(
    origin: string,
    route: string,
    { policies }: Told,
    refusedMs: number | undefined,
    sentMs: number,
  ): void {
    if (policies.length === 0 && refusedMs === undefined) {
      const known = this.#routes.get(route)
      if (known?.gate.isIdle && known.policies.length === 0) this.#routes.delete(route)
      return
    }
    let known = this.#routes.get(route)
    if (!known) {
      known = { gate: new Gate(this.#clock, this.#random), policies: [] }
      this.#routes.set(route, known)
    }
    if (policies.length > 0) known.policies = policies.map(({ policy }) => policy)
    if (refusedMs !== undefined) known.gate.close(refusedMs)
    for (const { policy, left, withinMs } of policies) {
      const gate = this.#policy(policyKey(origin, policy))
      // What Retry-After says goes before.
      if (left === 0 && refusedMs !== undefined) gate.close(refusedMs)
      else if (withinMs !== undefined) gate.count(left, withinMs, sentMs)
    }
    forget(this.#routes, ({ gate }) => gate)
    forget(this.#policies, (gate) => gate)
  }

  #policy(key: string): Gate {
    const gate = this.#policies.get(key) ?? new Gate(this.#clock, this.#random)
    this.#policies.delete(key)
    this.#policies.set(key, gate)
    return gate
  }
}

const none: readonly Gate[] = []

function policyKey(origin: string, policy: string): string {
  return `${origin} ${policy}`
}

function forget<Value>(known: Map<string, Value>, gateOf: (value: Value) => Gate): void {
  if (known.size <= mostKnown) return
  for (const [key, value] of known) {
    if (known.size <= mostKnown) return
    if (!gateOf(value).isInUse) known.delete(key)
  }
}
