// What a reader must know of the machine to judge the figures; nothing that names it.
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { summary } from './statistics.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly platform: string
  readonly node: string
  /** The median of appending 4 KiB and syncing them, in the folder for temporary files, where everything is stored. */
  readonly fdatasyncMs: number
  /** How much of the processors was idle when the run began, from 0 to 1. */
  readonly idle: number
  /** What makes the figures worth less. */
  readonly warnings: readonly string[]
}

const tmpfs = 0x01021994

export async function machine(): Promise<Machine> {
  const inMemory = process.platform === 'linux' && statfsSync(tmpdir()).type === tmpfs
  const idle = await idleShare()
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    fdatasyncMs: syncTime(),
    idle,
    warnings: [
      ...(idle < 0.8
        ? [
            `Only ${Math.round(idle * 100)} % of the processors were idle before the run: others work here too.`,
          ]
        : []),
      ...(inMemory
        ? [
            'The folder for temporary files is in memory: syncing is free there. Set TMPDIR to a folder on a disk.',
          ]
        : []),
    ],
  }
}

async function idleShare(): Promise<number> {
  const before = cpus()
  await delay(2_000)
  let idle = 0
  let all = 0
  for (const [index, { times }] of cpus().entries()) {
    const then = before[index]?.times ?? times
    idle += times.idle - then.idle
    for (const kind of Object.keys(times) as (keyof typeof times)[]) all += times[kind] - then[kind]
  }
  return all === 0 ? 1 : Number((idle / all).toFixed(2))
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
