// How processes that share the folder tell each other to look again. Each has a file of its own in the folder `wake`, and
// writes a byte to it after a commit that gave others something to do; all watch the folder. As long as a process is
// alone there, it writes nothing. Losing a wake-up costs time, not messages: everyone looks now and then anyway.
import {
  closeSync,
  type FSWatcher,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  watch,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const betweenTouchesMs = 1

export class WakeFiles {
  readonly #folder: string
  readonly #name = `${process.pid}-${Math.random().toString(36).slice(2, 10)}`
  readonly #onWake: () => void
  #file: number
  #watcher: FSWatcher | undefined
  #others = 0
  #lastTouch = 0
  #timer: NodeJS.Timeout | undefined

  constructor(folder: string, onWake: () => void) {
    this.#folder = folder
    this.#onWake = onWake
    mkdirSync(folder, { recursive: true })
    this.#file = openSync(join(folder, this.#name), 'w')
    this.#removeDead()
    this.#noticeOthers()
    try {
      this.#watcher = watch(folder, { persistent: false }, (event, name) => this.#changed(event, name))
      // The system's limit of watches can end it at any time; looking now and then remains.
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      this.#watcher = undefined
    }
    // Whoever was there before learns of us only now; what it did since is not lost, because we begin by looking.
    this.#touch()
  }

  /** Tells the others. At most once in a millisecond, the last time included. */
  touch(): void {
    if (this.#others === 0 || this.#timer !== undefined) return
    const wait = this.#lastTouch + betweenTouchesMs - performance.now()
    if (wait <= 0) this.#touch()
    else
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.#touch()
      }, wait)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#watcher?.close()
    closeSync(this.#file)
    rmSync(join(this.#folder, this.#name), { force: true })
  }

  #touch(): void {
    this.#lastTouch = performance.now()
    try {
      writeSync(this.#file, '.', 0)
    } catch {
      // A full disk: the others look by themselves, later.
    }
  }

  #changed(event: string, name: string | null): void {
    if (event === 'rename') this.#noticeOthers()
    if (name !== this.#name) this.#onWake()
  }

  /** Who else is there. If our own file is gone, a process that cannot see us took it for that of a dead one. */
  #noticeOthers(): void {
    try {
      const names = readdirSync(this.#folder)
      if (!names.includes(this.#name)) {
        const file = openSync(join(this.#folder, this.#name), 'w')
        closeSync(this.#file)
        this.#file = file
      }
      this.#others = names.filter((name) => name !== this.#name).length
    } catch {
      // The folder was removed under us: there is nobody to wake, and nothing to wake them with.
      this.#others = 0
    }
  }

  #removeDead(): void {
    for (const name of readdirSync(this.#folder)) {
      const pid = Number(name.split('-')[0])
      if (!Number.isInteger(pid) || pid === process.pid) continue
      try {
        process.kill(pid, 0)
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'ESRCH')
          rmSync(join(this.#folder, name), { force: true })
      }
    }
  }
}
