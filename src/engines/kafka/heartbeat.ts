// Keeping a session alive, independently of handlers: a heartbeat every so often, and the certainty that we know when
// the coordinator must have given us up.
import { systemClock } from '../../core/clock.ts'
import type { Cluster } from './cluster.ts'
import type { Coordinator, Identity } from './coordinator.ts'
import type { Fault } from './errors.ts'

export interface Session {
  /** Who beats. `round` tells whether the group was settled all the while: undefined while a round is under way. */
  state(): Identity & { readonly round: object | undefined }
  /** The group is to be reordered. */
  rebalance(): void
  /** The coordinator does not take us for a member any more. */
  refused(fault: Fault): void
  /** Nothing was heard from the coordinator for the time of a session. */
  expired(): void
}

const longestIntervalMs = 500

export class Heartbeat {
  readonly #cluster: Cluster
  readonly #coordinator: Coordinator
  readonly #sessionMs: number
  readonly #session: Session
  #lastContact = performance.now()
  #cancelBeat: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined
  #stopped = false

  constructor(cluster: Cluster, coordinator: Coordinator, sessionMs: number, session: Session) {
    this.#cluster = cluster
    this.#coordinator = coordinator
    this.#sessionMs = sessionMs
    this.#session = session
  }

  /** How long ago the coordinator heard from us. */
  get silentMs(): number {
    return performance.now() - this.#lastContact
  }

  start(): void {
    if (this.#cancelBeat === undefined && !this.#stopped) this.#next()
  }

  stop(): void {
    this.#stopped = true
    this.#cancelBeat?.()
    this.#cancelExpiry?.()
  }

  /** The coordinator heard from us at this time (of performance.now): the session lives from then. */
  contact(time: number): void {
    this.#lastContact = Math.max(this.#lastContact, time)
    this.#cancelExpiry?.()
    if (this.#stopped) return
    this.#cancelExpiry = systemClock.after(this.#sessionMs - this.silentMs, () => this.#session.expired())
  }

  #next(): void {
    this.#cancelBeat = systemClock.after(Math.min(longestIntervalMs, this.#sessionMs / 5), async () => {
      try {
        await this.#beat()
      } catch {
        this.#coordinator.forget()
      }
      if (!this.#stopped) this.#next()
    })
  }

  async #beat(): Promise<void> {
    const { memberId, generation, round } = this.#session.state()
    if (memberId === '') return
    const { heartbeatV4 } = this.#cluster.client
    const link = await this.#coordinator.link('group')
    const sent = performance.now()
    const asked = link.call(heartbeatV4.api, this.#coordinator.groupId, generation, memberId, null)
    const { errorCode } = await this.#cluster.within(asked, this.#sessionMs)
    const fault = errorCode === 0 ? undefined : this.#cluster.fault(errorCode)
    if (fault?.passing) throw fault
    const settled = round !== undefined && round === this.#session.state().round
    if (fault === undefined) this.contact(sent)
    else if (fault.id === 'REBALANCE_IN_PROGRESS') {
      this.contact(sent)
      if (settled) this.#session.rebalance()
    } else if (settled) this.#session.refused(fault)
    // While a round is under way the generation may be over before we hear of the next one.
    else if (fault.id === 'ILLEGAL_GENERATION') this.contact(sent)
  }
}
