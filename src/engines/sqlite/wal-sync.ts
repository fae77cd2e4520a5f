// Making commits durable: the transaction is committed with synchronous=NORMAL, which writes the write-ahead log but does not sync it, and
// the log is then synced on a thread of libuv's pool, which does not block the thread that made the commits. A single commit is synced in
// place where the disk has been quick: to wake another thread, and to be woken by it, takes about as long as such a sync.
//
// Why this is as durable as synchronous=FULL (https://www.sqlite.org/wal.html, "Checkpointing" and "Performance"): the frames of a
// commit are in the log file before COMMIT returns, so a sync of that file covers them; recovery takes every whole commit in it.
// A checkpoint by any connection syncs the log before it copies from it, and the database before the log is used anew. What differs: others
// see a commit before it is durable. So whoever acts on what it read must sync first.
import { fdatasyncSync, fsyncSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { SpillwayError } from '../../core/errors.ts'

/** How long the thread may be blocked by a sync, as far as the last ones tell. */
const quickMs = 1

/** How a file is synced, on another thread and on this one; for tests, another. On macOS only fsync reaches the drive itself. */
export interface Syncing {
  there(file: FileHandle): Promise<void>
  here(file: FileHandle): void
  /** Milliseconds of a clock that never steps. */
  elapsed(): number
}

const onMac = process.platform === 'darwin'

const syncing: Syncing = {
  there: (file) => (onMac ? file.sync() : file.datasync()),
  here: ({ fd }) => (onMac ? fsyncSync(fd) : fdatasyncSync(fd)),
  elapsed: () => performance.now(),
}

export class WalSync {
  readonly #path: string
  readonly #syncing: Syncing
  #file: Promise<FileHandle> | undefined
  #opened: FileHandle | undefined
  /** What a sync takes: a slow one is believed at once, quick ones little by little. Undefined before the first. */
  #expectedMs: number | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #broken: SpillwayError | undefined

  /** `path`: the write-ahead log. It must exist when `sync` is first called: a connection that has committed keeps it in being. */
  constructor(path: string, how: Syncing = syncing) {
    this.#path = path
    this.#syncing = how
  }

  /** Resolves once everything committed before this call is on disk. Concurrent calls share their syncs. */
  sync(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#syncNow().finally(() => {
        this.#running = undefined
      })
      return this.#running
    }
    // What was committed after the running one began is only covered by another.
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.sync()
      })
    return this.#next
  }

  /** Whether another thread is at it. */
  get isSyncing(): boolean {
    return this.#running !== undefined
  }

  /**
   * Syncs on this thread where the last syncs were quick and none is under way: true once everything committed before is on disk.
   * False when nothing was done. Throws as `sync` rejects.
   */
  trySyncHere(): boolean {
    if (this.#running || !this.#opened || this.#expectedMs === undefined || this.#expectedMs > quickMs)
      return false
    this.check()
    const began = this.#syncing.elapsed()
    try {
      this.#syncing.here(this.#opened)
    } catch (cause) {
      throw this.#break(cause)
    }
    this.#took(began)
    return true
  }

  /** Throws once a sync has failed: what is committed from then on could never be called durable. */
  check(): void {
    if (this.#broken) throw this.#broken
  }

  async close(): Promise<void> {
    await this.#next?.catch(() => {})
    await this.#running?.catch(() => {})
    const file = await this.#file?.catch(() => undefined)
    await file?.close()
  }

  /**
   * After a failed sync the operating system may have dropped what it could not write and call the next one a success:
   * nothing is called durable any more until the database is opened again.
   */
  async #syncNow(): Promise<void> {
    this.check()
    try {
      this.#file ??= open(this.#path, 'r+')
      const file = await this.#file
      this.#opened = file
      const began = this.#syncing.elapsed()
      await this.#syncing.there(file)
      this.#took(began)
    } catch (cause) {
      throw this.#break(cause)
    }
  }

  #took(began: number): void {
    const ms = this.#syncing.elapsed() - began
    const before = this.#expectedMs ?? ms
    this.#expectedMs = Math.max(ms, before + (ms - before) / 4)
  }

  #break(cause: unknown): SpillwayError {
    this.#broken = new SpillwayError(
      'ENGINE_FAILED',
      `${this.#path} could not be synced to the disk; open the database again.`,
      { engine: 'sqlite', cause },
    )
    return this.#broken
  }
}
