// The consumer groups that this process is a member of.
import type { CommittedPosition, JoinOptions, Membership } from '../../ports/stream.ts'
import type { Api } from './api.ts'
import { NatsMembership } from './membership.ts'
import type { Names } from './names.ts'
import { RosterStore } from './roster-store.ts'
import type { KnownStream } from './streams.ts'

export class Groups {
  readonly #api: Api
  readonly #names: Names
  readonly #memberships = new Set<NatsMembership>()

  constructor(api: Api, names: Names) {
    this.#api = api
    this.#names = names
  }

  async join(stream: KnownStream, group: string, options: JoinOptions): Promise<Membership> {
    const store = new RosterStore(this.#api, stream, group)
    const beats = this.#names.beats(stream.name, group)
    const membership = new NatsMembership(store, this.#api.link, beats, options, () =>
      this.#memberships.delete(membership),
    )
    // Known from now on, so that a close meanwhile ends it.
    this.#memberships.add(membership)
    await membership.start()
    return membership
  }

  committed(stream: KnownStream, group: string): Promise<CommittedPosition[]> {
    return new RosterStore(this.#api, stream, group).committed()
  }

  /** Ends the memberships without a further callback. */
  async close(): Promise<void> {
    await Promise.all([...this.#memberships].map((membership) => membership.close()))
  }
}
