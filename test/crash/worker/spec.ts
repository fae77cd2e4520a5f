// What the harness tells a worker process, and the few words that they exchange.
import type { Fault } from './faults.ts'

export type Role =
  | 'jobs'
  | 'intake'
  | 'dispatch'
  | 'orders'
  | 'meter'
  | 'ledger'
  | 'audit'
  | 'probe'
  | 'business'
  | 'relay'
  | 'delivery'

export interface WorkerSpec {
  readonly role: Role
  /** Unique in the run, the same after a restart. */
  readonly name: string
  /** The engine under test. */
  readonly url: string
  /** Journals and databases of the run. */
  readonly folder: string
  /** Ends the names of the run's contexts. */
  readonly run: string
  /** Another one for every start of a process. */
  readonly seed: number
  readonly leaseMs: number
  readonly sessionMs: number
  /** Where the services keep their effects: a URL of PostgreSQL, else SQLite files in the folder. */
  readonly database?: string
  readonly plant?: Fault
}

/** From the worker: 'ready' once it works, 'quiet' once nothing more will be sent by it, 'gap' whenever its planted fault is wrong. */
export type Word = 'ready' | 'quiet' | 'gap'
/** To the worker: send nothing new. It goes on relaying and handling until SIGTERM. */
export const hush = 'hush'
