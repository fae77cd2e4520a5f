// Compaction: of each key the last record stays. In passes of small steps: first the keys of what was appended since the last pass are gathered,
// then everything up to there is gone through from the beginning, and rows are written anew without what is superseded. A pass
// begins when as much was appended as the last one left, so that its cost is shared by as many appends; and when what could go has stood for a day.
//
// Nothing is lost whenever it is cut off: a record goes only while a later one of its key is in the file. What a pass had gathered is forgotten with
// the process, and the next one begins anew.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { eachKey, offsetsOf, tombstoneId } from '../record.ts'
import type { Trims } from './trims.ts'

/** What one step reads, about. */
const bytesAtOnce = 2 * 1024 * 1024
const rowsAtOnce = 200
/** Less is not worth a pass. */
const fewest = 64
/** For so long what could go stands at the most, while somebody has the file open. */
const longestMs = 24 * 3_600_000
/** What a pass keeps in memory: it ends earlier when there are more keys. */
const mostKeys = 250_000
const mostKeyLength = 16 * 1024 * 1024

interface Compacted {
  readonly id: number
  readonly partitions: number
  readonly tombstones_ms: number
}

interface Row {
  readonly id: number
  readonly base: number
  readonly count: number
  readonly appended_at: number
  readonly versions: string | null
  readonly places: string | null
  readonly data: Uint8Array
}

interface Clean {
  readonly below: number
  readonly kept: number
  readonly tombstone_at: number | null
}

interface Pass {
  readonly stream: number
  readonly partition: number
  /** The last record of each key of what is not clean yet. */
  readonly last: Map<string, number>
  keyLength: number
  gathered: boolean
  /** It goes up to here: the last row of the partition tells the position of the next, and stays as it is. */
  end: number
  at: number
  kept: number
  /** When the oldest tombstone that stays was appended. */
  tombstoneAt: number | null
}

export class Compaction {
  readonly #trims: Trims
  readonly #compacted: StatementSync
  readonly #clean: StatementSync
  readonly #setClean: StatementSync
  readonly #lastBase: StatementSync
  readonly #uncleanSince: StatementSync
  readonly #rows: StatementSync
  readonly #rewrite: StatementSync
  readonly #delete: StatementSync
  #pass: Pass | undefined

  constructor(db: DatabaseSync, trims: Trims) {
    this.#trims = trims
    this.#compacted = db.prepare(
      'SELECT id, partitions, tombstones_ms FROM stream WHERE tombstones_ms IS NOT NULL',
    )
    this.#clean = db.prepare(
      'SELECT below, kept, tombstone_at FROM stream_clean WHERE stream = ? AND partition = ?',
    )
    this.#setClean = db.prepare('INSERT OR REPLACE INTO stream_clean VALUES (?, ?, ?, ?, ?)')
    this.#lastBase = db.prepare(
      'SELECT base FROM stream_batch WHERE stream = ? AND partition = ? ORDER BY base DESC LIMIT 1',
    )
    this.#uncleanSince = db.prepare(
      'SELECT appended_at AS at FROM stream_batch WHERE stream = ? AND partition = ? AND base >= ? ORDER BY base LIMIT 1',
    )
    this.#rows = db.prepare(
      `SELECT id, base, count, appended_at, versions, places, data FROM stream_batch
       WHERE stream = ? AND partition = ? AND base >= ? AND base < ? ORDER BY base LIMIT ${rowsAtOnce}`,
    )
    this.#rewrite = db.prepare(
      'UPDATE stream_batch SET base = ?, count = ?, versions = ?, places = ?, data = ? WHERE id = ?',
    )
    this.#delete = db.prepare('DELETE FROM stream_batch WHERE id = ?')
  }

  /** Looks only. */
  isDue(now: number): boolean {
    return this.#pass !== undefined || this.#next(now) !== undefined
  }

  /** One step; whether there is more. */
  step(now: number): boolean {
    this.#pass ??= this.#next(now)
    const pass = this.#pass
    if (pass === undefined) return false
    const stream = this.#all().find(({ id }) => id === pass.stream)
    // It is not to be compacted any more.
    if (stream === undefined) this.#pass = undefined
    else if (!pass.gathered) this.#gather(pass)
    else this.#sweep(pass, now - stream.tombstones_ms)
    return true
  }

  /** A step whose transaction was rolled back did not happen, but for what it keeps in memory. */
  forget(): void {
    this.#pass = undefined
  }

  #all(): readonly Compacted[] {
    return this.#compacted.all() as unknown as Compacted[]
  }

  #next(now: number): Pass | undefined {
    for (const stream of this.#all())
      for (let partition = 0; partition < stream.partitions; partition++) {
        const clean = this.#cleanOf(stream.id, partition)
        const end = Number(this.#lastBase.get(stream.id, partition)?.base ?? 0)
        if (
          end - clean.below < Math.max(fewest, clean.kept) &&
          !this.#isOld(stream, partition, clean, end, now)
        )
          continue
        return {
          stream: stream.id,
          partition,
          last: new Map<string, number>(),
          keyLength: 0,
          gathered: false,
          end,
          at: clean.below,
          kept: 0,
          tombstoneAt: null,
        }
      }
    return undefined
  }

  /** Whether what is not clean, or a tombstone that may go, has stood for so long that its day has come. */
  #isOld(
    { id, tombstones_ms }: Compacted,
    partition: number,
    { below, tombstone_at }: Clean,
    end: number,
    now: number,
  ): boolean {
    const before = now - longestMs
    if (tombstone_at !== null && tombstone_at + tombstones_ms < before) return true
    return end > below && Number(this.#uncleanSince.get(id, partition, below)!.at) < before
  }

  #gather(pass: Pass): void {
    for (const row of this.#read(pass)) {
      if (pass.last.size >= mostKeys || pass.keyLength >= mostKeyLength) {
        pass.end = row.base
        pass.at = row.base
        break
      }
      this.#each(row, (position, key) => {
        if (key === undefined) return
        if (!pass.last.has(key)) pass.keyLength += key.length
        pass.last.set(key, position)
      })
    }
    if (pass.at < pass.end) return
    pass.gathered = true
    pass.at = 0
  }

  #sweep(pass: Pass, before: number): void {
    const { stream, partition, last } = pass
    for (const row of this.#read(pass)) {
      const stays: number[] = []
      const gone: [key: string, version: number][] = []
      const versions = row.versions === null ? null : (JSON.parse(row.versions) as (number | null)[])
      const all = this.#each(row, (position, key, id, index) => {
        const later = key === undefined ? position : (last.get(key) ?? position)
        const over = id === tombstoneId && row.appended_at < before
        if (position === later && !over) {
          stays.push(index)
          if (id === tombstoneId) pass.tombstoneAt ??= row.appended_at
        } else if (key !== undefined && versions?.[index] != null) gone.push([key, versions[index]])
      })
      pass.kept += stays.length
      for (const [key, version] of gone) this.#trims.forgetVersion(stream, partition, key, version)
      if (stays.length === 0) this.#delete.run(row.id)
      else if (stays.length < all.length) this.#write(row, stays, all, versions)
    }
    if (pass.at < pass.end) return
    this.#setClean.run(stream, partition, pass.end, pass.kept, pass.tombstoneAt)
    this.#pass = undefined
  }

  /** The rows of the next step; `at` goes on behind them. */
  #read(pass: Pass): Row[] {
    const rows: Row[] = []
    let bytes = 0
    const { stream, partition, at, end } = pass
    pass.at = end
    for (const each of this.#rows.iterate(stream, partition, at, end)) {
      const row = each as unknown as Row
      if (bytes >= bytesAtOnce || rows.length === rowsAtOnce - 1) {
        pass.at = row.base
        break
      }
      rows.push(row)
      bytes += row.data.length
    }
    return rows
  }

  /** Calls back with each record of a row; gives their places. */
  #each(
    { base, count, places, data }: Row,
    see: (position: number, key: string | undefined, id: string, index: number) => void,
  ): readonly number[] {
    const all =
      places === null ? Array.from({ length: count }, (_, place) => place) : (JSON.parse(places) as number[])
    eachKey(data, (id, key, index) => see(base + all[index]!, key, id, index))
    return all
  }

  /** Only what stays, beginning where the first of it stands and ending where the row did. */
  #write(
    row: Row,
    stays: readonly number[],
    all: readonly number[],
    versions: readonly (number | null)[] | null,
  ): void {
    const offsets = offsetsOf(row.data, all.length)
    const data = Buffer.concat(stays.map((index) => row.data.subarray(offsets[index]!, offsets[index + 1]!)))
    const first = all[stays[0]!]!
    const places = stays.map((index) => all[index]! - first)
    const left = versions && JSON.stringify(stays.map((index) => versions[index] ?? null))
    const gapless = places.length === row.count - first
    this.#rewrite.run(
      row.base + first,
      row.count - first,
      left,
      gapless ? null : JSON.stringify(places),
      data,
      row.id,
    )
  }

  #cleanOf(stream: number, partition: number): Clean {
    return (
      (this.#clean.get(stream, partition) as unknown as Clean | undefined) ?? {
        below: 0,
        kept: 0,
        tombstone_at: null,
      }
    )
  }
}
