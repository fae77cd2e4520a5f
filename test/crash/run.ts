// One run: workers at work, struck at random moments, then left alone until nothing moves, and judged.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openEngine } from '../../src/index.ts'
import type { RunningServer } from '../servers/index.ts'
import {
  type Collected,
  collect,
  collectOutbox,
  postgresReader,
  postgresRecords,
  sqliteReader,
} from './collect.ts'
import { Fleet } from './fleet.ts'
import { checkHistory, type Finding, type Verdict } from './history.ts'
import { type Random, seeded } from './random.ts'
import type { Fault } from './worker/faults.ts'
import type { Role, WorkerSpec } from './worker/spec.ts'

export interface CrashOptions {
  /** What is at work: everything (default), or a business with an outbox, its relays, and who receives. */
  readonly scene?: Scene
  readonly kills: number
  /** Default: SQLite in a folder of the run. On a server the run has names of its own. */
  readonly engine?: string
  /** A PostgreSQL URL for the databases of the services. Default: SQLite files in the folder of the run. */
  readonly database?: string
  readonly seed: number
  readonly plant?: Fault
  /** Only these are at work, and only what goes between them is judged. Default: all of the scene. */
  readonly crew?: readonly Role[]
  /** Only these are struck. Default: all. */
  readonly victims?: readonly Role[]
  /** One process for each role that is not struck: a short run starts sooner. */
  readonly small?: boolean
  /** Nothing of the queues: a short run of the streams. */
  readonly streamsOnly?: boolean
  /** The server of the engine is killed so often too, and started again a moment later. Default 0. */
  readonly outages?: number
  /** Needed for outages. */
  readonly server?: Pick<RunningServer, 'kill' | 'restart'>
  /** How long something may be missing, with nothing moving, before it is lost. Default 30 s. */
  readonly giveUpMs?: number
  readonly onProgress?: (line: string) => void
}

export type Scene = 'everything' | 'outbox'

export interface CrashResult {
  readonly engine: string
  readonly queues: boolean
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
  /** What should not have happened to the workers. */
  readonly surprises: readonly string[]
  readonly probes: number
  /** Orders whose transaction was undone. */
  readonly undone: number
  readonly seconds: number
  /** Journals, databases and logs; kept only when something was found. */
  readonly folder: string | undefined
}

/** Processes for each role, and what they need of the engine. */
interface Place {
  readonly role: Role
  readonly count: number
  readonly queue?: true
}

const everything: readonly Place[] = [
  { role: 'jobs', count: 2, queue: true },
  { role: 'intake', count: 2, queue: true },
  { role: 'dispatch', count: 2, queue: true },
  { role: 'orders', count: 2 },
  { role: 'meter', count: 1 },
  { role: 'ledger', count: 2 },
  { role: 'audit', count: 2 },
  { role: 'probe', count: 1 },
]
const crews: Readonly<Record<Scene, readonly Place[]>> = {
  everything,
  outbox: [
    { role: 'business', count: 2 },
    { role: 'relay', count: 2 },
    { role: 'delivery', count: 2 },
  ],
}
/** As short as the engine takes them, so that takeovers really happen. */
const shortLeaseMs = 1_000
const shortSessionMs = 2_000
const tellEveryMs = 5_000

export async function crash(options: CrashOptions): Promise<CrashResult> {
  const started = performance.now()
  const say = options.onProgress ?? (() => {})
  const random = seeded(options.seed)
  const { scene = 'everything' } = options
  const { engine, queues, base } = await prepare(options, say)
  const { folder, run, leaseMs, sessionMs } = base
  const read = options.database ? postgresReader(options.database, run) : sqliteReader(folder)
  const records =
    options.database !== undefined && options.database === options.engine
      ? postgresRecords(options.database, run)
      : undefined
  const places = crews[scene].filter(
    ({ role, queue }) => (queues || !queue) && (options.crew?.includes(role) ?? true),
  )
  const plans = places
    .map(({ role, count }) => ({
      role,
      count: options.small && !options.victims?.includes(role) ? 1 : count,
    }))
    .flatMap(({ role, count }) =>
      Array.from({ length: count }, (_, index) => ({ ...base, role, name: `${role}${index + 1}` })),
    )
  const roles = new Set(places.map(({ role }) => role))
  const fleet = new Fleet(plans, random)
  try {
    await fleet.start()
    say(`${plans.length} processes at work`)
    const struck = await strike(fleet, options, Math.max(leaseMs, sessionMs), random, say)
    await fleet.hush()
    say('left alone, until nothing moves')
    const judge = async (): Promise<Judged> => {
      const collected =
        scene === 'outbox'
          ? await collectOutbox(folder, queues, read, records)
          : { ...(await collect(folder, roles, read)), undone: 0 }
      return { ...collected, ...checkHistory({ ...struck, ...collected }) }
    }
    await untilStill(judge, 2 * leaseMs + 1_000, options.giveUpMs ?? 30_000, say)
    await fleet.end()
    const judged = await judge()
    const { verdict, findings, probes, undone } = judged
    const surprises = [...fleet.surprises, ...emptyParts(judged, roles)]
    const clean = findings.length === 0 && surprises.length === 0
    if (clean) rmSync(folder, { recursive: true })
    return {
      engine,
      queues,
      verdict,
      findings,
      surprises,
      probes: probes.length,
      undone,
      seconds: Math.round((performance.now() - started) / 100) / 10,
      folder: clean ? undefined : folder,
    }
  } catch (thrown) {
    say(`journals, databases and logs: ${folder}`)
    throw thrown
  } finally {
    await fleet.destroy()
  }
}

/** Opens the engine once, to see that it can be and what it needs, and makes the folder of the run. */
async function prepare(
  { engine: wanted, database, plant, streamsOnly }: CrashOptions,
  say: (line: string) => void,
): Promise<{ engine: string; queues: boolean; base: Omit<WorkerSpec, 'seed' | 'role' | 'name'> }> {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-crash-'))
  const url = wanted ?? `sqlite:${join(folder, 'engine')}`
  const engine = await openEngine(url)
  const { name, queue, stream, durability } = engine
  await engine.close()
  say(`${name}: ${durability.statement}${queue ? '' : ' (no queue on this engine: streams only)'}`)
  const base = {
    url,
    folder,
    run: wanted === undefined ? '' : `-${Date.now().toString(36)}`,
    leaseMs: Math.max(shortLeaseMs, queue?.limits.minLeaseMs ?? 0),
    sessionMs: Math.max(shortSessionMs, stream?.limits.minSessionMs ?? 0),
    ...(plant ? { plant } : {}),
    ...(database ? { database } : {}),
  }
  return { engine: name, queues: queue !== undefined && !streamsOnly, base }
}

/** Kills, one process or all of a role, and pauses in between that outlast leases and sessions. */
async function strike(
  fleet: Fleet,
  { kills: wanted, victims, small, plant, outages = 0, server }: CrashOptions,
  lastingMs: number,
  random: Random,
  say: (line: string) => void,
): Promise<{ kills: number; rounds: number }> {
  const targets = fleet.workers.filter(({ plan }) => victims === undefined || victims.includes(plan.role))
  const pauses = new Set<Promise<void>>()
  let kills = 0
  let rounds = 0
  let cuts = 0
  while (kills < wanted || cuts < outages) {
    await delay(random.between(300, 1_700))
    rounds += 1
    // Spread over the run.
    if (server && cuts < outages && kills >= (cuts + 1) * Math.floor(wanted / (outages + 1))) {
      cuts += 1
      await fleet.ready()
      const ms = random.between(100, lastingMs * 2)
      say(`killed the server for ${ms} ms (${cuts} of ${outages})`)
      await server.kill()
      await delay(ms)
      await server.restart()
      continue
    }
    // In a short run every kill has to strike somebody at work.
    if (small) await fleet.ready()
    const worker = random.pick(targets)
    if (random.chance(0.25) && pauses.size < 2) {
      const ms = random.between(Math.round(lastingMs * 1.1), lastingMs * 2)
      const pause = worker.pause(ms)
      pauses.add(pause)
      void pause.then(() => pauses.delete(pause))
      say(`paused ${worker.plan.name} for ${ms} ms`)
      continue
    }
    const { role } = worker.plan
    const together = random.chance(0.2) ? fleet.workers.filter(({ plan }) => plan.role === role) : [worker]
    const struck = together.slice(0, wanted - kills)
    if (plant) await worker.inGap()
    await fleet.kill(struck)
    kills += struck.length
    say(`killed ${struck.map(({ plan }) => plan.name).join(' and ')} (${kills} of ${wanted})`)
  }
  await Promise.all(pauses)
  return { kills, rounds }
}

interface Judged extends Collected {
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
  readonly undone: number
}

/** A part of the run in which nothing happened proves nothing. */
function emptyParts({ channels, probes, undone }: Judged, roles: ReadonlySet<Role>): string[] {
  const empty = channels
    .filter(({ effects }) => effects.length === 0)
    .map(({ name }) => `nothing of ${name} was handled`)
  if (roles.has('business') && undone === 0) empty.push('no order was undone')
  if (roles.has('probe') && probes.length === 0) empty.push('no stale holder was tried')
  return empty
}

/** Judges again and again: done when nothing is missing and nothing came for a while, or nothing came for very long. */
async function untilStill(
  judge: () => Promise<Judged>,
  quietMs: number,
  giveUpMs: number,
  say: (line: string) => void,
): Promise<void> {
  let last = await judge()
  let told = performance.now()
  for (let since = told; ; ) {
    const now = performance.now()
    if (now - since > giveUpMs || (now - since > quietMs && last.verdict.lost === 0)) return
    if (now - told > tellEveryMs) {
      say(`${last.verdict.lost} of ${last.verdict.sent} messages have no effect yet`)
      told = now
    }
    await delay(500)
    const next = await judge()
    if (next.effects !== last.effects) since = performance.now()
    last = next
  }
}
