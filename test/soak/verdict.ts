// What a soak shows: whether anything grows while the work stays the same. The first third is for warming up; what is reached in the
// last third is held against what was reached in the middle one, which has had as many bursts and open transactions.
export interface Sample {
  /** Since the beginning. */
  readonly atMs: number
  /** By table, index or file. */
  readonly sizes: Readonly<Record<string, number>>
  /** Dead rows by table, where there are such. */
  readonly dead: Readonly<Record<string, number>>
  /** Messages that wait or are held, in all queues. */
  readonly backlog: number
  /** Of the claims since the last sample that leased something, by queue. */
  readonly claimMs: Readonly<Record<string, readonly number[]>>
  /** The same of a queue that is always empty, which tells how busy the machine is. */
  readonly idleMs: readonly number[]
  /** After the garbage was collected. */
  readonly rss: number
  readonly heap: number
  /** Settled since the beginning. */
  readonly handled: number
}

/** What may be reached in the last third, of what was reached in the middle one. */
export const bounds = {
  size: { times: 1.25, plus: 512 * 1024 },
  /** SQLite's log, which is written from its beginning again at 32 MB, if nobody's transaction is open. */
  log: { times: 1.25, plus: 40 * 1024 * 1024 },
  rss: { times: 1.25, plus: 32 * 1024 * 1024 },
  heap: { times: 1.25, plus: 8 * 1024 * 1024 },
  /** Milliseconds beside, for what is done in one or two; and as many times more as the machine has become busier. */
  claim: { times: 1.5, plus: 2 },
  backlog: { times: 2, plus: 1_000 },
} as const

/** Holds a row for each message of a queue with `flow` that ended, for seven days: it has to grow for as long. */
export const growsForAWeek: RegExp = /^flow_end/

export interface Verdict {
  /** Everything that is not as it should be, in words. Empty: all is well. */
  readonly findings: readonly string[]
  readonly claimP50: Readonly<Record<string, { readonly before: number; readonly after: number }>>
}

export function judge(samples: readonly Sample[]): Verdict {
  const third = Math.floor(samples.length / 3)
  if (third < 2) return { findings: ['too few samples for a verdict: let it run for longer'], claimP50: {} }
  const [middle, last] = [samples.slice(third, 2 * third), samples.slice(-third)]
  const findings: string[] = []
  const compare = (
    what: string,
    of: (sample: Sample) => number,
    bound: keyof typeof bounds,
    words: Words,
  ) => {
    const [before, after] = [Math.max(...middle.map(of)), Math.max(...last.map(of))]
    const { times, plus } = bounds[bound]
    if (after > before * times + plus)
      findings.push(
        `${what} grows: ${words(before)}, then ${words(after)} (${times} times and ${words(plus)} are allowed)`,
      )
  }
  for (const name of namesIn(samples.map(({ sizes }) => sizes)))
    if (!growsForAWeek.test(name))
      compare(name, ({ sizes }) => sizes[name] ?? 0, name.endsWith('-wal') ? 'log' : 'size', megabytes)
  compare('the memory of the client (rss)', ({ rss }) => rss, 'rss', megabytes)
  compare('the heap of the client', ({ heap }) => heap, 'heap', megabytes)
  compare(
    'the backlog',
    ({ backlog }) => backlog,
    'backlog',
    (count) => `${count} messages`,
  )
  const idle = (some: readonly Sample[]) => median(some.flatMap(({ idleMs }) => idleMs))
  const busier = Math.max(1, idle(last) / idle(middle))
  const claimP50: Record<string, { before: number; after: number }> = {}
  for (const queue of namesIn(samples.map(({ claimMs }) => claimMs))) {
    const of = (some: readonly Sample[]) => median(some.flatMap(({ claimMs }) => claimMs[queue] ?? []))
    const [before, after] = [of(middle), of(last)]
    claimP50[queue] = { before, after }
    const { times, plus } = bounds.claim
    if (after > before * times * busier + plus)
      findings.push(
        `claiming from ${queue} grows slower: p50 ${before.toFixed(1)} ms, then ${after.toFixed(1)} ms`,
      )
  }
  if (last.every(({ handled }) => handled === last[0]!.handled))
    findings.push('nothing was handled at the end')
  return { findings, claimP50 }
}

type Words = (value: number) => string

export const megabytes: Words = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MB`

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function namesIn(records: readonly Readonly<Record<string, unknown>>[]): string[] {
  return [...new Set(records.flatMap((record) => Object.keys(record)))]
}
