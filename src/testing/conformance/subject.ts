// What the cases are run against: an engine, opened as often as a case needs it.

import type { QueueFeature, StreamFeature } from '../../ports/capability.ts'
import { capabilityTable, missing, portTable } from '../../ports/capability.ts'
import type { Engine, EngineOptions } from '../../ports/engine.ts'
import type { CommitResult, PartitionPosition } from '../../ports/stream.ts'
import type { Need, Subject } from './case.ts'

/** How the one who certifies an engine lets the cases at it. */
export interface EngineAccess {
  /** Opens another, independent handle on the same storage, as another process would. */
  openEngine(options?: EngineOptions): Promise<Engine>
  /** The storage of this engine is its one handle: each that is opened has its own, and cases that need two skip. */
  readonly privateStorage?: boolean
  /** Joins a consumer group in another process, so that a case can stop that process dead. */
  startMember?(stream: string, group: string, sessionMs: number): Promise<DistantMember>
  /** Within which time retention removes what it may. Where nobody can say, its cases skip. */
  readonly retainsWithinMs?: number
  /** The same for compaction. */
  readonly compactsWithinMs?: number
}

/** A member of a consumer group in another process. */
export interface DistantMember {
  /** The partitions that it holds, as far as it knows. */
  held(): Promise<readonly number[]>
  /** The partitions that were taken from it with `lost`. */
  lost(): Promise<readonly number[]>
  commit(positions: readonly PartitionPosition[]): Promise<readonly CommitResult[]>
  /** Stops the process where it is (SIGSTOP), and lets it go on (SIGCONT). */
  pause(): void
  resume(): void
  /** Ends it without notice (SIGKILL). Idempotent. */
  kill(): Promise<void>
}

export interface EngineSubject extends Subject {
  /** Two handles on the same storage, shared by all cases: a case never closes them. The same one with private storage. */
  readonly one: Engine
  readonly two: Engine
  readonly access: EngineAccess
  close(): Promise<void>
}

export async function engineSubject(access: EngineAccess): Promise<EngineSubject> {
  const one = await access.openEngine()
  const two = access.privateStorage ? one : await access.openEngine()
  return {
    one,
    two,
    access,
    lacks: (need) => lacks(one, access, need),
    async close() {
      await Promise.all([one.close(), two.close()])
    },
  }
}

function lacks(engine: Engine, access: EngineAccess, need: Need): string | undefined {
  if (need === 'shared storage')
    return access.privateStorage ? `the storage of the engine '${engine.name}' is its one handle` : undefined
  if (need === 'process')
    return access.startMember ? undefined : 'no second process can be started for this engine'
  if (need === 'retention')
    return access.retainsWithinMs === undefined
      ? 'when this engine removes what need not be kept is up to its settings'
      : undefined
  if (need === 'compaction')
    return access.compactsWithinMs === undefined
      ? 'when this engine compacts is up to its settings'
      : undefined
  if (need === 'synchronous driver' || need === 'asynchronous driver') return 'an engine is no database'
  if (need === 'limit')
    return engine.limit === undefined
      ? `the engine '${engine.name}' keeps no buckets of limits; these do: ${portTable.limit.join(', ')}`
      : undefined
  const [name, feature] = need.split('.') as ['queue' | 'stream', string | undefined]
  const port = engine[name]
  const owners = portTable[name].join(', ')
  if (port === undefined) return `the engine '${engine.name}' does not have a ${name}; these have: ${owners}`
  if (feature === undefined) return undefined
  if (feature === 'fencing')
    return port.capabilities.fencing === 'engine'
      ? undefined
      : `the engine '${engine.name}' leaves fencing to the service's own transaction`
  if ((port.capabilities as unknown as Readonly<Record<string, unknown>>)[feature] === true) return undefined
  return missing(engine.name, name, feature as QueueFeature | StreamFeature).message
}

/** The engines that have a feature, for the cases that show how asking for it is refused. */
export function owners(port: 'queue' | 'stream', feature: string): readonly string[] {
  const flags: Readonly<Record<string, { readonly engines: readonly string[] }>> = capabilityTable[port]
  return flags[feature]?.engines ?? []
}
