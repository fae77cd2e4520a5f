// What Spillway set itself, in one table, and how far the figures of a run meet it.
import type { Kind } from './systems/system.ts'
import { isTime, type Unit, type Work, work } from './workloads/names.ts'

interface Goal {
  readonly kind: Kind
  readonly work: Work
  readonly system: string
  /** Against the best of these systems … */
  readonly against?: readonly string[]
  readonly atLeast?: number
  /** For times, which are to be no longer than this many times those of the others. */
  readonly atMost?: number
  readonly aim?: number
  /** … or below an absolute bound, in the unit of the work. */
  readonly below?: number
  /** … or above one. */
  readonly above?: number
}

const nodeQueues = ['bullmq-redis-always', 'bullmq-redis-none', 'pg-boss', 'graphile-worker']
const postgresQueues = ['pg-boss', 'graphile-worker']
const streams = ['nats-always', 'nats-interval']
const redisStreams = ['redis-streams-always', 'redis-streams-none']

export const goals: readonly Goal[] = [
  {
    kind: 'queue',
    work: work.sendInFlight,
    system: 'spillway-sqlite',
    against: ['bullmq-redis-always'],
    atLeast: 3,
    aim: 5,
  },
  {
    kind: 'queue',
    work: work.sendBulk,
    system: 'spillway-sqlite',
    against: ['bare-sqlite-batch'],
    atLeast: 0.7,
  },
  { kind: 'queue', work: work.sendBulk, system: 'spillway-sqlite', against: ['bare-sqlite-encoded'] },
  { kind: 'queue', work: work.sendBulk, system: 'spillway-sqlite', against: ['bare-sqlite-row'] },
  { kind: 'queue', work: work.consume, system: 'spillway-sqlite', against: nodeQueues, atLeast: 2 },
  { kind: 'queue', work: work.p50, system: 'spillway-sqlite', below: 1 },
  { kind: 'queue', work: work.p99, system: 'spillway-sqlite', below: 5 },
  { kind: 'queue', work: work.otherP50, system: 'spillway-sqlite', below: 5 },
  { kind: 'queue', work: work.eventLoop, system: 'spillway-sqlite', below: 10 },
  {
    kind: 'queue',
    work: work.sendInFlight,
    system: 'spillway-postgres',
    against: postgresQueues,
    atLeast: 10,
  },
  { kind: 'queue', work: work.sendBulk, system: 'spillway-postgres', against: postgresQueues, atLeast: 1.5 },
  { kind: 'queue', work: work.consume, system: 'spillway-postgres', against: postgresQueues, atLeast: 1.5 },
  { kind: 'queue', work: work.sendBulk, system: 'spillway-postgres', against: ['bare-postgres'] },
  { kind: 'queue', work: work.sendBulk, system: 'spillway-postgres', against: ['bare-postgres-encoded'] },
  { kind: 'queue', work: work.p50, system: 'spillway-postgres', below: 3 },
  { kind: 'stream', work: work.appendBulk, system: 'spillway-sqlite', against: ['bare-file'], atLeast: 0.6 },
  { kind: 'stream', work: work.appendBulk, system: 'spillway-sqlite', against: ['bare-file-encoded'] },
  { kind: 'stream', work: work.read, system: 'spillway-sqlite', against: streams, atLeast: 2 },
  { kind: 'stream', work: work.read, system: 'spillway-sqlite', against: redisStreams, atLeast: 2 },
  {
    kind: 'stream',
    work: work.appendBulk,
    system: 'spillway-postgres',
    against: ['bare-postgres'],
    atLeast: 0.7,
  },
  { kind: 'stream', work: work.appendBulk, system: 'spillway-postgres', against: ['bare-postgres-encoded'] },
  { kind: 'stream', work: work.appendBulk, system: 'spillway-nats', against: ['bare-nats'], atLeast: 0.85 },
  { kind: 'stream', work: work.read, system: 'spillway-nats', against: ['bare-nats'], atLeast: 0.85 },
  { kind: 'stream', work: work.appendBulk, system: 'spillway-kafka', against: ['bare-kafka'], atLeast: 0.85 },
  { kind: 'stream', work: work.read, system: 'spillway-kafka', against: ['bare-kafka'], atLeast: 0.85 },
  { kind: 'call', work: work.immediate, system: 'spillway-call', below: 0.5 },
  { kind: 'call', work: work.immediate, system: 'spillway-call', against: ['opossum'], atMost: 1 },
  { kind: 'call', work: work.immediate, system: 'spillway-call', against: ['cockatiel'] },
  { kind: 'call', work: work.immediate, system: 'spillway-call', against: ['bare-function'] },
  { kind: 'call', work: work.query, system: 'spillway-query', against: ['bare-query'], atMost: 1.3 },
  { kind: 'call', work: work.queries, system: 'spillway-query', against: ['bare-query'], atLeast: 0.75 },
  { kind: 'call', work: work.command, system: 'spillway-command', against: ['bare-command'], atMost: 1.3 },
  {
    kind: 'transaction',
    work: work.handle,
    system: 'spillway-sqlite-outbox',
    against: ['spillway-sqlite-neither'],
    atLeast: 0.4,
  },
  { kind: 'transaction', work: work.messageP50, system: 'spillway-postgres-outbox', below: 5 },
  { kind: 'transaction', work: work.messageP99, system: 'spillway-postgres-outbox', below: 25 },
  { kind: 'transaction', work: work.eventP50, system: 'spillway-postgres-outbox', below: 5 },
  { kind: 'transaction', work: work.eventP99, system: 'spillway-postgres-outbox', below: 25 },
  // A third, a fifth and a quarter: three times, five times and four times as good.
  {
    kind: 'limit',
    work: work.decideOne,
    system: 'spillway-limits',
    against: ['rate-limiter-flexible'],
    atMost: 1 / 3,
  },
  {
    kind: 'limit',
    work: work.decideMany,
    system: 'spillway-limits',
    against: ['rate-limiter-flexible'],
    atMost: 1 / 3,
  },
  {
    kind: 'limit',
    work: work.decideThree,
    system: 'spillway-limits',
    against: ['rate-limiter-flexible'],
    atMost: 0.2,
  },
  {
    kind: 'limit',
    work: work.keyBytes,
    system: 'spillway-limits',
    against: ['rate-limiter-flexible'],
    atMost: 0.25,
  },
  { kind: 'transaction', work: work.relay, system: 'spillway-postgres-outbox', above: 10_000 },
]

export interface Row {
  readonly work: Work
  readonly system: string
  readonly durability: string
  readonly median: number
  readonly min: number
  readonly max: number
  readonly unit: Unit
}

export interface Ratio {
  readonly work: Work
  readonly system: string
  /** A system, or a bound: '5 ms'. */
  readonly against: string
  /** Median by median; for a bound, median by bound. */
  readonly ratio: number
  /** '>= 3, aim 5' or '< 1'; null where the ratio is only shown. */
  readonly goal: string | null
  readonly met: boolean | null
}

export function ratiosOf(kind: Kind, rows: readonly Row[]): Ratio[] {
  const find = (name: Work, system: string) => rows.find((row) => row.work === name && row.system === system)
  const ratios: Ratio[] = []
  for (const goal of goals) {
    const own = goal.kind === kind ? find(goal.work, goal.system) : undefined
    if (own === undefined) continue
    const { work: name, system, below, above } = goal
    if (below !== undefined) {
      const ratio = own.median / below
      ratios.push({ work: name, system, against: `${below} ${own.unit}`, ratio, goal: '< 1', met: ratio < 1 })
      continue
    }
    if (above !== undefined) {
      const ratio = own.median / above
      ratios.push({
        work: name,
        system,
        against: `${above} ${own.unit}`,
        ratio,
        goal: '>= 1',
        met: ratio >= 1,
      })
      continue
    }
    const best = (goal.against ?? [])
      .flatMap((other) => find(name, other) ?? [])
      .toSorted((a, b) => (isTime(own.unit) ? a.median - b.median : b.median - a.median))[0]
    if (best === undefined) continue
    const ratio = own.median / best.median
    ratios.push({ work: name, system, against: best.system, ratio, ...judged(goal, ratio) })
  }
  return ratios
}

function judged({ atLeast, atMost, aim }: Goal, ratio: number): Pick<Ratio, 'goal' | 'met'> {
  if (atMost !== undefined) return { goal: `<= ${Number(atMost.toPrecision(3))}`, met: ratio <= atMost }
  if (atLeast === undefined) return { goal: null, met: null }
  return { goal: `>= ${atLeast}${aim === undefined ? '' : `, aim ${aim}`}`, met: ratio >= atLeast }
}
