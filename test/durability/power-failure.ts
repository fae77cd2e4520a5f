// A disk that forgets: from a record of writes and syncs to the files as a power failure at some moment could leave them.
//
// Sure is only what a sync covered: the bytes of a file by a sync of the file, its name by a sync of its folder. Of all
// else any part may be there: each write in pieces of 512 bytes, each new size and each name for itself.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Random } from '../crash/random.ts'

export const kinds = {
  1: 'opened',
  2: 'created',
  3: 'written',
  4: 'truncated',
  5: 'synced',
  6: 'removed',
  7: 'renamed',
  8: 'marked',
  9: 'folder',
} as const

export interface Entry {
  readonly kind: (typeof kinds)[keyof typeof kinds]
  readonly file: number
  readonly offset: number
  readonly data: Buffer
}

const headerBytes = 24

export function readRecord(bytes: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < bytes.length; ) {
    const kind = kinds[bytes.readUInt32LE(at) as keyof typeof kinds]
    const length = Number(bytes.readBigUInt64LE(at + 16))
    const data = bytes.subarray(at + headerBytes, at + headerBytes + length)
    entries.push({
      kind,
      file: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      data,
    })
    at += headerBytes + length
  }
  return entries
}

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'size'; readonly size: number }

interface File {
  /** What is surely on the disk. */
  synced: Bytes
  /** What the program did since. */
  readonly changes: Change[]
}

type Naming =
  | { readonly kind: 'file'; readonly path: string; readonly file: number }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'nothing'; readonly path: string }

/** What becomes of that which no sync covered; `path` is that of the file. */
export interface Fate {
  /** A piece of 512 bytes, a new size. */
  survives(path: string): boolean
  /** The name of a file or folder. */
  named(path: string): boolean
  /** At last: the file ends where it ended at its last sync. */
  readonly cut?: boolean
}

export const onlySynced: Fate = { survives: () => false, named: () => false }
export const cutToSynced: Fate = { survives: () => true, named: () => true, cut: true }

/** Everything of some files, and of the others only what is synced: as if the system had written those by itself. */
export function allOf(part: (path: string) => boolean): Fate {
  return { survives: part, named: part }
}

export function anyPart(random: Random): Fate {
  const share = random.next()
  return { survives: () => random.chance(share), named: () => random.chance(share) }
}

const sector = 512

export class Disk {
  readonly #root: string
  readonly #files = new Map<number, File>()
  readonly #paths = new Map<number, string>()
  /** By path: what the folders surely name, and what was done to names since, oldest first. */
  readonly #names = new Map<string, Naming>()
  #renaming: Naming[] = []
  /** Folders that were made while the record was; all others were there before. */
  readonly #made = new Set<string>()

  /** `root` is the folder that was recorded; it is there from the beginning. */
  constructor(root: string) {
    this.#root = root
  }

  /** Bytes and names that no sync covers. */
  get unsynced(): number {
    let count = this.#renaming.length
    for (const { changes } of this.#files.values()) count += changes.length
    return count
  }

  apply({ kind, file, offset, data }: Entry): void {
    const path = data.toString()
    switch (kind) {
      case 'opened':
      case 'created': {
        this.#files.set(file, { synced: new Bytes(), changes: [] })
        this.#paths.set(file, path)
        const naming = { kind: 'file', path, file } as const
        if (kind === 'created') this.#renaming.push(naming)
        return
      }
      case 'folder':
        this.#made.add(path)
        this.#renaming.push({ kind, path })
        return
      case 'written':
        this.#files.get(file)!.changes.push({ kind: 'write', offset, data })
        return
      case 'truncated':
        this.#files.get(file)!.changes.push({ kind: 'size', size: offset })
        return
      case 'synced':
        this.#sync(file)
        return
      case 'removed':
        this.#renaming.push({ kind: 'nothing', path: this.#paths.get(file)! })
        return
      case 'renamed':
        this.#renaming.push({ kind: 'nothing', path: this.#paths.get(file)! }, { kind: 'file', path, file })
        this.#paths.set(file, path)
        return
      case 'marked':
        return
    }
  }

  #sync(id: number): void {
    const { synced, changes } = this.#files.get(id)!
    for (const change of changes.splice(0)) synced.apply(change)
    const folder = this.#paths.get(id)!
    this.#renaming = this.#renaming.filter((naming) => {
      if (dirname(naming.path) !== folder) return true
      this.#names.set(naming.path, naming)
      return false
    })
  }

  /** Writes the files as the failure leaves them to another folder. */
  fail(fate: Fate, to: string): void {
    const names = new Map(this.#names)
    for (const naming of this.#renaming) if (fate.named(naming.path)) names.set(naming.path, naming)
    for (const [path, naming] of names) {
      if (naming.kind !== 'file' || !this.#reachable(path, names)) continue
      const place = join(to, path.slice(this.#root.length))
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, this.#content(naming.file, path, fate))
    }
  }

  /** Whether every folder on the way is there too. */
  #reachable(path: string, names: ReadonlyMap<string, Naming>): boolean {
    const folder = dirname(path)
    if (folder === this.#root) return true
    if (this.#made.has(folder) && names.get(folder)?.kind !== 'folder') return false
    return this.#reachable(folder, names)
  }

  #content(file: number, path: string, fate: Fate): Buffer {
    const { synced, changes } = this.#files.get(file)!
    const bytes = synced.copy()
    for (const change of changes)
      for (const piece of piecesOf(change)) if (fate.survives(path)) bytes.apply(piece)
    if (fate.cut) bytes.apply({ kind: 'size', size: Math.min(bytes.size, synced.size) })
    return bytes.view()
  }
}

/** The parts of a change that a disk does as one. */
function piecesOf(change: Change): Change[] {
  if (change.kind === 'size') return [change]
  const pieces: Change[] = []
  const { offset, data } = change
  for (let at = 0; at < data.length; ) {
    const end = Math.min(data.length, at + sector - ((offset + at) % sector))
    pieces.push({ kind: 'write', offset: offset + at, data: data.subarray(at, end) })
    at = end
  }
  return pieces
}

/** The bytes of a file, growing. */
class Bytes {
  #memory: Buffer
  size: number

  constructor(from: Buffer = Buffer.alloc(0)) {
    this.#memory = Buffer.from(from)
    this.size = from.length
  }

  copy(): Bytes {
    return new Bytes(this.view())
  }

  view(): Buffer {
    return this.#memory.subarray(0, this.size)
  }

  apply(change: Change): void {
    if (change.kind === 'size') {
      this.#resize(change.size)
      return
    }
    const end = change.offset + change.data.length
    if (end > this.size) this.#resize(end)
    change.data.copy(this.#memory, change.offset)
  }

  #resize(size: number): void {
    if (size > this.#memory.length) {
      const larger = Buffer.alloc(size * 2)
      this.view().copy(larger)
      this.#memory = larger
    } else if (size > this.size) this.#memory.fill(0, this.size, size)
    this.size = size
  }
}
