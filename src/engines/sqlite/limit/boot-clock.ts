// The clock of the buckets that the processes of one machine share: its monotonic clock, which is the same in all of them and which nobody sets. It
// begins anew at each boot: from one boot to the next the wall clock is believed, as far as it does not go back.
import { readFileSync } from 'node:fs'

/** What the machine says, in whole microseconds. */
export interface MachineTime {
  /** Another after each boot; empty where the machine does not tell. */
  readonly boot: string
  monotonicUs(): number
  wallUs(): number
}

/** How the file keeps it. */
export interface ClockMark {
  readonly boot: string
  /** How far the clock is ahead of the machine's monotonic one, for as long as it is the same boot. */
  readonly aheadUs: number
  /** What it showed when somebody last wrote that down. */
  readonly lastUs: number
}

export const machineTime: MachineTime = {
  boot: bootId(),
  monotonicUs: () => Number(process.hrtime.bigint() / 1_000n),
  wallUs: () => Date.now() * 1_000,
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    // Only Linux tells. Elsewhere a boot is known by the monotonic clock, which was further before it.
    return ''
  }
}

/** The mark to go by from now on: the one that is kept if it is of this boot, else a new one. */
export function markOf(kept: ClockMark | undefined, time: MachineTime): ClockMark {
  const { boot } = time
  const monotonicUs = time.monotonicUs()
  if (kept !== undefined && kept.boot === boot && monotonicUs + kept.aheadUs >= kept.lastUs) return kept
  const nowUs = Math.max(time.wallUs(), kept?.lastUs ?? 0)
  return { boot, aheadUs: nowUs - monotonicUs, lastUs: nowUs }
}

export function timeBy({ aheadUs }: ClockMark, time: MachineTime): number {
  return time.monotonicUs() + aheadUs
}
