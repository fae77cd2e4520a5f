// Making commits durable without blocking the thread that made them: the transaction is committed with synchronous=NORMAL,
// which writes the write-ahead log but does not sync it, and the log is then synced on a thread of libuv's pool.
//
// Why this is as durable as synchronous=FULL (https://www.sqlite.org/wal.html, "Checkpointing" and "Performance"): the frames of a
// commit are in the log file before COMMIT returns, so a sync of that file covers them; recovery takes every whole commit in it.
// A checkpoint by any connection syncs the log before it copies from it, and the database before the log is used anew. What differs: others
// see a commit before it is durable. So whoever acts on what it read must sync first.
import { type FileHandle, open } from 'node:fs/promises'
import { SpillwayError } from '../../core/errors.ts'

export class WalSync {
  readonly #path: string
  #file: Promise<FileHandle> | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #broken: SpillwayError | undefined

  /** `path`: the write-ahead log. It must exist when `sync` is first called: a connection that has committed keeps it in being. */
  constructor(path: string) {
    this.#path = path
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
      // On macOS only fsync reaches the drive itself.
      await (process.platform === 'darwin' ? file.sync() : file.datasync())
    } catch (cause) {
      this.#broken = new SpillwayError(
        'ENGINE_FAILED',
        `${this.#path} could not be synced to the disk; open the database again.`,
        { engine: 'sqlite', cause },
      )
      throw this.#broken
    }
  }
}
