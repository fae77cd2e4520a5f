// When the write-ahead log is copied back. A checkpoint writes everything a second time and syncs it: done in the storage
// thread it took a third of the time of large appends, and stopped all callers for tens of milliseconds. So a thread
// of its own does most of it; what is left when the log is long enough to begin anew is done by a commit.
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** So much is written between two checkpoints of the other thread. */
const everyBytes = 4 * 1024 * 1024
/** At this length of the log a commit does the rest, and the next one begins the log anew. */
export const longestLogBytes: number = 32 * 1024 * 1024
/** Pages that a commit writes beside what it carries: rows, indexes, leases. */
const bytesOfCommit = 4 * 8192

export class Checkpoints {
  readonly #setup: { readonly path: string; readonly synchronous: 'full' | 'off' }
  #worker: Worker | undefined
  #written = 0
  #running = false
  #ended = false

  constructor(setup: { readonly path: string; readonly synchronous: 'full' | 'off' }) {
    this.#setup = setup
  }

  /** Called after a commit with the bytes of the records that it stored. */
  wrote(bytes: number): void {
    this.#written += bytes + bytesOfCommit
    if (this.#written < everyBytes || this.#running || this.#ended) return
    this.#written = 0
    this.#running = true
    // Started when there is something to do: most programs never write as much.
    this.#worker ??= this.#start()
    this.#worker.postMessage('checkpoint')
  }

  #start(): Worker {
    const file = new URL(`./checkpoint-thread${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, {
      workerData: this.#setup,
      execArgv: ['--no-warnings'],
      name: 'spillway-checkpoint',
    })
    worker.on('message', () => {
      this.#running = false
    })
    // Without it the storage thread checkpoints alone: slower, and nothing else.
    worker.on('error', () => {})
    worker.on('exit', () => {
      this.#ended = true
    })
    worker.unref()
    return worker
  }

  async close(): Promise<void> {
    if (this.#worker === undefined || this.#ended) return
    const ended = once(this.#worker, 'exit')
    this.#worker.ref()
    this.#worker.postMessage('close')
    await ended
  }
}
