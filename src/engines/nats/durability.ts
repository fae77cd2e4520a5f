// What a server promises when it answers. It writes before it answers, and syncs later unless it is told to sync first;
// it tells that to nobody but its monitoring port.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability } from '../../ports/engine.ts'

export interface Found {
  readonly version: string
  readonly replicas: number
  /** What the monitoring port says; undefined when it was not asked. */
  readonly syncAlways: boolean | undefined
  /** Whether the server has the setting at all. */
  readonly canSync: boolean
}

export function judge({ version, replicas, syncAlways, canSync }: Found): Durability {
  const copies = replicas === 1 ? 'one replica' : `${replicas} replicas, most of which have it`
  if (syncAlways === true)
    return {
      level: 'power-loss',
      statement: `NATS ${version}: file storage, ${copies}, synced before it is acknowledged (sync_interval: always)`,
      weaknesses: [],
    }
  const later = `a power failure loses what was acknowledged since the last sync, up to two minutes`
  const weakness = !canSync
    ? `NATS ${version} cannot sync before it acknowledges: ${later}; and when the server is killed, messages come again that were handled. Upgrade to 2.10 or newer and set sync_interval: always.`
    : syncAlways === false
      ? `The server syncs after it acknowledges: ${later}. Set sync_interval: always in its jetstream block.`
      : `The server does not tell its clients whether it syncs before it acknowledges; by default it does not: ${later}. Set sync_interval: always, and give the engine the monitoring address: monitor=http://host:8222.`
  return {
    level: 'process',
    statement: `NATS ${version}: file storage, ${copies}, written before it is acknowledged, synced later`,
    weaknesses: [weakness],
  }
}

/** A stream that was made by someone else, in memory. */
export function inMemory(durability: Durability, stream: string): Durability {
  return {
    level: 'none',
    statement: `${durability.statement}; ${stream} in memory`,
    weaknesses: [
      ...durability.weaknesses,
      `${stream} has storage=memory: a restart loses it. Make it anew with storage=file.`,
    ],
  }
}

export function requirePowerLoss(durability: Durability): void {
  if (durability.level === 'power-loss') return
  throw new SpillwayError('DURABILITY', durability.weaknesses.join(' '), {
    engine: 'nats',
    details: { level: durability.level, weaknesses: durability.weaknesses },
  })
}

/** Asks a monitoring port. Undefined when there is no address; CONFIGURATION when it does not answer as one does. */
export async function askMonitor(address: string | undefined, ms: number): Promise<boolean | undefined> {
  if (address === undefined) return undefined
  try {
    const answer = await fetch(new URL('/varz', address), { signal: AbortSignal.timeout(ms) })
    const { jetstream } = (await answer.json()) as { jetstream?: { config?: { sync_always?: boolean } } }
    return jetstream?.config?.sync_always === true
  } catch (cause) {
    throw new SpillwayError(
      'CONFIGURATION',
      `The monitoring address '${address}' does not answer like a NATS server's.`,
      { engine: 'nats', cause },
    )
  }
}
