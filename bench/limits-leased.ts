// Busy keys that several processes share on one Redis server: Spillway by leases, the peer as ever, interleaved, each with all processes at once.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { LeasedOrder, LeasedReport, LeasedSystem } from './limits-leased-process.ts'
import { rotated, type Summary, summary } from './statistics.ts'

export interface LeasedOptions {
  readonly processes: number
  readonly busyKeys: number
  readonly inFlight: number
  readonly seconds: number
  readonly rounds: number
}

export interface LeasedFigures {
  readonly figures: readonly (Summary & { readonly name: LeasedSystem })[]
  /** Of the medians. */
  readonly times: number
}

/** What Spillway set itself. */
export const leasedGoal = 10
const systems: readonly LeasedSystem[] = ['spillway', 'rate-limiter-flexible']

export async function leased(url: string, options: LeasedOptions): Promise<LeasedFigures> {
  const children = Array.from({ length: options.processes }, () =>
    fork(`${import.meta.dirname}/limits-leased-process.ts`, [url], { execArgv: [] }),
  )
  try {
    await Promise.all(children.map((child) => once(child, 'message')))
    const rates = new Map<LeasedSystem, number[]>(systems.map((system) => [system, []]))
    for (const system of systems) await together(children, system, options)
    for (let round = 0; round < options.rounds; round++)
      for (const system of rotated(systems, round))
        rates.get(system)!.push(await together(children, system, options))
    const figures = systems.map((name) => ({ name, ...summary(rates.get(name)!) }))
    return { figures, times: figures[0]!.median / figures[1]!.median }
  } finally {
    for (const child of children) child.disconnect()
  }
}

/** Decisions a second of all processes. */
async function together(
  children: readonly ChildProcess[],
  system: LeasedSystem,
  { busyKeys: keys, inFlight, seconds }: LeasedOptions,
): Promise<number> {
  const order: LeasedOrder = { system, ms: seconds * 1_000, keys, inFlight }
  const reports = await Promise.all(
    children.map(async (child) => {
      child.send(order)
      const [report] = (await once(child, 'message')) as [LeasedReport]
      return report
    }),
  )
  return reports.reduce((sum, { made, ms }) => sum + made / (ms / 1_000), 0)
}
