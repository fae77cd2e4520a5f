// Builds the recorder with the machine's compiler, and runs the program under it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Entry, readRecord } from './power-failure.ts'
import { places } from './remarks.ts'

export type Plant = 'none' | 'engine-unsynced' | 'database-unsynced'

export interface Recording {
  /** The folder that was recorded, as it stands in the record. */
  readonly root: string
  readonly entries: readonly Entry[]
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** Why nothing can be recorded on this machine; undefined where it can. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'it needs LD_PRELOAD, which is a matter of Linux'
  if (spawnSync('cc', ['--version']).status !== 0)
    return 'there is no C compiler (cc): `node scripts/get-servers.ts --only gcc` gets it'
  return undefined
}

/** A temporary folder for recorder, records and reopened files. */
export class Workshop {
  readonly folder: string = realpathSync(mkdtempSync(join(tmpdir(), 'spillway-durability-')))
  readonly #library = join(this.folder, 'record.so')
  #count = 0

  constructor() {
    // Every opening starts a thread: it need not compile its modules again.
    process.env.NODE_COMPILE_CACHE ??= join(this.folder, 'compiled')
    const flags = ['-shared', '-fPIC', '-O1', '-o', this.#library, here('./record.c'), '-ldl', '-lpthread']
    const built = spawnSync('cc', flags, { encoding: 'utf8' })
    if (built.status !== 0) throw new Error(`record.c could not be built:\n${built.stderr}`)
  }

  place(): string {
    return join(this.folder, `${++this.#count}`)
  }

  /** With `newFolder` the folder of the service's database is not there yet, as that of the engine never is. */
  async record(plant: Plant, newFolder = false): Promise<Recording> {
    const root = this.place()
    const log = `${root}.record`
    mkdirSync(newFolder ? root : dirname(join(root, places.database)), { recursive: true })
    const program = ['--disable-warning=ExperimentalWarning', here('./recorded.ts'), root, plant]
    const child = spawn(process.execPath, program, {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, LD_PRELOAD: this.#library, RECORD_FOLDER: root, RECORD_LOG: log },
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    if (code !== 0) throw new Error(`the recorded program ended with ${signal ?? `code ${code}`}`)
    const entries = readRecord(readFileSync(log))
    rmSync(log)
    return { root, entries }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}
