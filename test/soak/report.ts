// A soak for people: a line for each sample, and at the end what everything was in each third of it.
import { median, megabytes, type Sample, type Verdict } from './verdict.ts'

export function line({ atMs, sizes, dead, backlog, claimMs, idleMs, rss, handled }: Sample): string {
  // A database file has its tables in it.
  const all = Object.entries(sizes).reduce(
    (sum, [name, size]) => (name.includes('.db, ') ? sum : sum + size),
    0,
  )
  const largest = Object.entries(sizes)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 4)
  const rows = Object.values(dead).reduce((sum, count) => sum + count, 0)
  const claims = Object.entries(claimMs).map(([queue, times]) => `${queue} ${median(times).toFixed(1)}`)
  return [
    `${(atMs / 1000).toFixed(0).padStart(5)} s`,
    `handled ${handled}`,
    `backlog ${backlog}`,
    `claim p50 ms ${claims.join(', ')}, idle ${median(idleMs).toFixed(1)}`,
    `rss ${megabytes(rss)}`,
    `stored ${megabytes(all)}${rows > 0 ? `, ${rows} rows dead` : ''}`,
    largest.map(([name, size]) => `${name} ${megabytes(size)}`).join(', '),
  ].join('  ')
}

export function detail(samples: readonly Sample[], { findings, claimP50 }: Verdict): string {
  const third = Math.floor(samples.length / 3)
  const parts = [samples.slice(0, third), samples.slice(third, 2 * third), samples.slice(-third)]
  const row = (name: string, of: (sample: Sample) => number) =>
    [name.padEnd(28), ...parts.map((part) => megabytes(Math.max(...part.map(of))).padStart(10))].join('')
  const names = Object.keys(samples.at(-1)?.sizes ?? {}).filter(
    (name) => (samples.at(-1)!.sizes[name] ?? 0) > 65_536,
  )
  return [
    `${'the most in each third'.padEnd(28)}${['first', 'middle', 'last'].map((title) => title.padStart(10)).join('')}`,
    ...names.sort().map((name) => row(name, ({ sizes }) => sizes[name] ?? 0)),
    row('rss', ({ rss }) => rss),
    row('heap', ({ heap }) => heap),
    ...Object.entries(claimP50).map(
      ([queue, { before, after }]) =>
        `claim p50, ${queue}: ${before.toFixed(1)} ms, then ${after.toFixed(1)} ms`,
    ),
    '',
    ...(findings.length === 0 ? ['Nothing grows.'] : findings.map((finding) => `NOT WELL: ${finding}`)),
  ].join('\n')
}
