// What the server really promises, read from its settings and said in words.
import { SpillwayError } from '../../core/errors.ts'
import type { Durability } from '../../ports/engine.ts'

export interface DurabilitySettings {
  readonly synchronous_commit: string
  readonly fsync: string
  readonly full_page_writes: string
  readonly synchronous_standby_names: string
}

export const durabilityQuery: string = `select current_setting('synchronous_commit') as synchronous_commit,
  current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
  current_setting('synchronous_standby_names') as synchronous_standby_names`

export function durabilityOf(settings: DurabilitySettings): Durability {
  const { synchronous_commit, fsync, full_page_writes, synchronous_standby_names } = settings
  const weaknesses: string[] = []
  if (fsync !== 'on')
    weaknesses.push('fsync=off: a power failure loses commits and may damage the whole server; set fsync=on.')
  if (full_page_writes !== 'on')
    weaknesses.push(
      'full_page_writes=off: a power failure in the middle of a page write damages the page; set full_page_writes=on.',
    )
  if (synchronous_commit === 'off')
    weaknesses.push(
      'synchronous_commit=off: what was committed in the last moments is lost when the server dies; set synchronous_commit=on.',
    )
  const level = synchronous_commit === 'off' ? 'none' : weaknesses.length > 0 ? 'process' : 'power-loss'
  const flushed =
    level === 'power-loss'
      ? 'every commit is flushed to the disk of the server'
      : level === 'process'
        ? 'commits reach the operating system of the server, not surely its disk'
        : 'commits are flushed some time later'
  const standby =
    synchronous_standby_names === '' || synchronous_commit === 'local' || level === 'none'
      ? 'no standby is waited for'
      : `standbys are waited for (${synchronous_standby_names})`
  return {
    level,
    statement: `synchronous_commit=${synchronous_commit}, fsync=${fsync}, full_page_writes=${full_page_writes}: ${flushed}; ${standby}.`,
    weaknesses,
  }
}

/** Throws DURABILITY where strict mode refuses what was found. */
export function refuseWeak(durability: Durability, url: string): void {
  if (durability.level === 'power-loss') return
  throw new SpillwayError(
    'DURABILITY',
    `PostgreSQL at ${url} does not keep what it has taken: ${durability.weaknesses.join(' ')}`,
    { engine: 'postgres', details: { level: durability.level, weaknesses: durability.weaknesses } },
  )
}
