// What a conformance case is. The cases are the definition of the ports, as data: any test runner can run them, a third
// party can certify an engine with them, and the capability table of the documentation is made from them.
// They use node:assert only, fresh names of their own, and bounds in time.
import type { QueueFeature, StreamFeature } from '../../ports/capability.ts'

/** What a case needs from its subject: a port, a capability, or something that the one who runs it has to provide. */
export type Need =
  | 'queue'
  | 'queue.fencing'
  | `queue.${QueueFeature}`
  | 'stream'
  | 'stream.fencing'
  | `stream.${StreamFeature}`
  /** Buckets of limits that processes share. */
  | 'limit'
  /** All buckets of a request are decided at one time. */
  | 'one clock'
  /** Every handle that the subject opens is on the same storage. */
  | 'shared storage'
  /** The subject can start a member of a consumer group in another process. */
  | 'process'
  /** It is known how soon the engine removes what need not be kept. */
  | 'retention'
  /** The same of compaction. */
  | 'compaction'
  | 'synchronous driver'
  | 'asynchronous driver'
  /** A user can have a transaction of his own open in the database. */
  | 'transactions of the user'
  /** Streams can be kept in the very database of a service. */
  | 'streams in the database'

/** A mirror case requires that the subject is without something: it shows that asking for it is refused. */
export type Requirement = Need | `without ${Need}`

export interface Subject {
  /** Why it does not have what a case needs, in a sentence; undefined when it has it. */
  lacks(need: Need): string | undefined
}

export interface ConformanceCase<S extends Subject> {
  /** Stable: `queue.settle.stale`. */
  readonly id: string
  /** The sentence of the port that it holds, in short. */
  readonly title: string
  readonly requires: readonly Requirement[]
  /** Rejects (an AssertionError, mostly) when the sentence does not hold. */
  run(subject: S): Promise<void>
}

/** Why a case does not apply to a subject; undefined when it does. */
export function skipReason<S extends Subject>(item: ConformanceCase<S>, subject: S): string | undefined {
  for (const requirement of item.requires) {
    if (requirement.startsWith('without ')) {
      const need = requirement.slice('without '.length) as Need
      if (subject.lacks(need) === undefined)
        return `it has '${need}', and this is the case for engines without it`
    } else {
      const why = subject.lacks(requirement as Need)
      if (why !== undefined) return why
    }
  }
  return undefined
}
