// The ledger of who holds what in a group. Callbacks must not throw, so what they should never do is written down here
// and fails the case at its end.
import assert from 'node:assert/strict'

/** Who can hold a partition. */
export interface Owner {
  readonly name: string
  /** It is known to hold on for too long: that others get its partitions is no breach. */
  readonly forfeits: boolean
}

/** Who holds which partition of a group, from the calls that all its members have had. */
export class Ledger {
  readonly #owners = new Map<number, Owner>()
  readonly #breaches: string[] = []

  take(partition: number, member: Owner): void {
    const owner = this.#owners.get(partition)
    if (owner !== undefined && owner !== member && !owner.forfeits)
      this.breach(
        `${member.name} was assigned partition ${partition}, which ${owner.name} has not given back`,
      )
    this.#owners.set(partition, member)
  }

  give(partition: number, member: Owner): void {
    if (this.#owners.get(partition) === member) this.#owners.delete(partition)
  }

  breach(what: string): void {
    this.#breaches.push(what)
  }

  /** Fails if a callback was called when it must not be. */
  check(): void {
    assert.deepEqual(this.#breaches, [])
  }
}
