// What a reader must know of the machine to judge the figures; nothing that names it.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { summary } from './statistics.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly platform: string
  readonly node: string
  /** The median of appending 4 KiB and syncing them, in the folder for temporary files, where everything is stored. */
  readonly fdatasyncMs: number
  /** Said when syncing there costs nothing, so that no figure says anything about disks. */
  readonly warning: string | null
}

const tmpfs = 0x01021994

export function machine(): Machine {
  const inMemory = process.platform === 'linux' && statfsSync(tmpdir()).type === tmpfs
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    fdatasyncMs: syncTime(),
    warning: inMemory
      ? 'The folder for temporary files is in memory: syncing is free there. Set TMPDIR to a folder on a disk.'
      : null,
  }
}

function syncTime(): number {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-bench-sync-'))
  const file = openSync(join(folder, 'file'), 'a')
  const bytes = Buffer.alloc(4096, 'x')
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const start = performance.now()
    writeSync(file, bytes)
    fdatasyncSync(file)
    times.push(performance.now() - start)
  }
  closeSync(file)
  rmSync(folder, { recursive: true })
  return Number(summary(times).median.toFixed(3))
}
