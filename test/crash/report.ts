// A run's outcome for people.
import type { CrashResult } from './run.ts'

const shown = 10

export function table({
  engine,
  queues,
  verdict,
  findings,
  surprises,
  probes,
  undone,
  seconds,
  folder,
}: CrashResult): string {
  const rows: [string, number][] = [
    ['rounds', verdict.rounds],
    ['kills', verdict.kills],
    ['messages sent', verdict.sent],
    ['messages handled', verdict.handled],
    ['lost', verdict.lost],
    ['duplicated', verdict.duplicated],
    ['ghosts (never sent, or undone)', verdict.ghosts],
    ['out of order', verdict.outOfOrder],
    undone > 0
      ? ['orders undone', undone]
      : [`stale acks accepted (of ${probes})`, verdict.staleAcksAccepted],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = [`${engine}, ${seconds} s${queues ? '' : '; no queue on this engine'}`]
  for (const [name, value] of rows) lines.push(`  ${name.padEnd(width)}  ${value}`)
  for (const { kind, what } of findings.slice(0, shown)) lines.push(`${kind}: ${what}`)
  if (findings.length > shown) lines.push(`and ${findings.length - shown} more`)
  lines.push(...surprises)
  if (folder !== undefined) lines.push(`journals, databases and logs: ${folder}`)
  return lines.join('\n')
}
