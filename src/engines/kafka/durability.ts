// What a Kafka cluster promises, from what it is found to be set to. A broker acknowledges a record when the replicas in
// sync have it in memory; it is on disk some time later, unless told to flush first.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability } from '../../ports/engine.ts'

export interface Found {
  /** What is judged, for the sentences: "new topics", or "the topic orders". */
  readonly what: string
  readonly replicas: number
  readonly minInSync: number
  /** After how many records a broker flushes; undefined or huge: it leaves that to the operating system. */
  readonly flushMessages: number | undefined
  readonly uncleanElection: boolean
  /** The different hosts that brokers are on. */
  readonly hosts: number
}

export function judge(found: Found): Durability {
  const { what, replicas, minInSync, flushMessages, hosts } = found
  const flushes = flushMessages === 1
  const copies = Math.min(minInSync, replicas, hosts)
  const weaknesses: string[] = []
  if (!flushes && copies < 2) {
    if (replicas < 2)
      weaknesses.push(
        `${what}: one replica, acknowledged before it is flushed to disk; a power failure loses the last seconds. Run three brokers, or set log.flush.interval.messages=1.`,
      )
    else if (minInSync < 2)
      weaknesses.push(
        `${what}: min.insync.replicas=${minInSync} acknowledges a record that only one broker has in memory; set it to 2.`,
      )
    else
      weaknesses.push(
        `${what}: all brokers are on the same host; a power failure takes every replica. Put them on different machines.`,
      )
  }
  if (found.uncleanElection)
    weaknesses.push(
      `${what}: unclean.leader.election.enable=true lets a replica that misses acknowledged records become the leader; set it to false.`,
    )
  const safe = (flushes || copies >= 2) && !found.uncleanElection
  return {
    level: safe ? 'power-loss' : 'process',
    statement: statement(found, flushes),
    weaknesses,
  }
}

function statement({ what, replicas, minInSync }: Found, flushes: boolean): string {
  const copies = replicas === 1 ? 'one replica' : `${replicas} replicas, of which ${minInSync} must have it`
  const disk = flushes ? 'flushed to disk first' : 'flushed to disk later'
  return `acks=all, idempotent; ${what}: ${copies} before a record is acknowledged, ${disk}`
}

/** The weakest of both, with the weaknesses of both. */
export function join(a: Durability, b: Durability): Durability {
  return {
    level: a.level === 'process' || b.level === 'process' ? 'process' : 'power-loss',
    statement: a.statement,
    weaknesses: [...new Set([...a.weaknesses, ...b.weaknesses])],
  }
}

export function requirePowerLoss(durability: Durability): void {
  if (durability.level === 'power-loss') return
  throw new SpillwayError(
    'DURABILITY',
    `Kafka would lose acknowledged records in a power failure: ${durability.weaknesses.join(' ')}`,
    { engine: 'kafka', details: { ...durability } },
  )
}
