// What the file really promises, from the pragmas that are in force.
import type { Durability } from '../../ports/engine.ts'

export interface FoundPragmas {
  readonly journalMode: string
  /** 0 off, 1 normal, 2 full, 3 extra. */
  readonly synchronous: number
  readonly fullFsync: number
}

export function durabilityOf({ journalMode, synchronous, fullFsync }: FoundPragmas): Durability {
  const weaknesses: string[] = []
  if (journalMode !== 'wal')
    weaknesses.push(`journal_mode is ${journalMode}: the file system does not support WAL; use a local disk`)
  if (synchronous < 2)
    weaknesses.push(
      `synchronous is ${['OFF', 'NORMAL'][synchronous]}: commits are not fsynced; open with synchronous: 'full'`,
    )
  if (process.platform === 'darwin' && fullFsync !== 1)
    weaknesses.push(
      'fullfsync is off: on macOS an fsync may stay in the cache of the drive; set fullfsync = 1',
    )
  const settings = `journal_mode=${journalMode}, synchronous=${['OFF', 'NORMAL', 'FULL', 'EXTRA'][synchronous]}`
  return weaknesses.length === 0
    ? {
        level: 'power-loss',
        statement: `${settings}; every commit is fsynced before it is acknowledged, as far as the file system and the drive honour that`,
        weaknesses,
      }
    : {
        level: 'process',
        statement: `${settings}; commits reach the operating system, not surely the disk`,
        weaknesses,
      }
}
