// What a server keeps when it answers: what its settings say, in words.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability } from '../../ports/engine.ts'

/** What the server says of itself; undefined where it does not tell. */
export interface Found {
  readonly version: string
  readonly isCluster: boolean
  readonly replicas: number
  readonly appendOnly: boolean
  readonly appendFsync: string | undefined
  /** When it writes snapshots, as `save` in its settings says. */
  readonly save: string | undefined
  readonly maxMemory: number
  readonly evicts: string
}

export function judge(found: Found): Durability {
  const { appendOnly, appendFsync, save } = found
  const weaknesses: string[] = []
  let level: Durability['level'] = 'power-loss'
  const weaken = (to: Durability['level'], why: string) => {
    weaknesses.push(why)
    if (level === 'power-loss' || to === 'none') level = to
  }
  if (!appendOnly)
    weaken(
      'none',
      save
        ? `The server writes snapshots only (save ${save}): a restart by force brings buckets back as they were at the last one, and what was taken since can be taken again. Set appendonly yes.`
        : 'The server keeps nothing on a disk: after a restart every bucket is full. Set appendonly yes, or take another store for limits by the day.',
    )
  else if (appendFsync === undefined)
    weaken(
      'process',
      'The server does not tell whether it syncs before it answers (CONFIG GET is not allowed): a power failure may lose what was taken in the last seconds.',
    )
  else if (appendFsync !== 'always')
    weaken(
      'process',
      `The server syncs after it answers (appendfsync ${appendFsync}): a power failure loses what was taken in the last ${appendFsync === 'everysec' ? 'second or two' : 'half minute'}. Set appendfsync always where that matters.`,
    )
  if (found.isCluster || found.replicas > 0)
    weaken(
      'process',
      'Replicas follow later: a failover loses what was taken just before it, and it can be taken again.',
    )
  if (found.maxMemory > 0 && found.evicts !== 'noeviction')
    weaken(
      'none',
      `The server drops keys when its memory is full (maxmemory-policy ${found.evicts}), and a bucket that is dropped is full again. Set maxmemory-policy noeviction.`,
    )
  return { level, statement: statementOf(found), weaknesses }
}

function statementOf({ version, isCluster, replicas, appendOnly, appendFsync, save }: Found): string {
  const kept = appendOnly
    ? `append-only file, ${appendFsync === 'always' ? 'synced before it answers' : `appendfsync ${appendFsync ?? 'not told'}`}`
    : save
      ? `snapshots only (save ${save})`
      : 'in memory only'
  const copies = isCluster ? '; a cluster' : replicas > 0 ? `; ${replicas} replicas` : ''
  return `Redis ${version}: ${kept}${copies}`
}

export function requirePowerLoss(durability: Durability): void {
  if (durability.level === 'power-loss') return
  throw new SpillwayError('DURABILITY', durability.weaknesses.join(' '), {
    engine: 'redis',
    details: { level: durability.level, weaknesses: durability.weaknesses },
  })
}
