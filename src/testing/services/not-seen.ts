// The error of a wait that was in vain: what was waited for, and what there was instead.
import { describe, SpillwayError } from '../../core/errors.ts'
import type { Settled } from '../../core/settled.ts'

export interface Wanted {
  readonly type: string
  readonly outcome: string
  readonly nth: number
  readonly withinMs: number
  readonly id?: string
  readonly by?: string
  readonly where?: unknown
}

const shown = 10

export function notSeen(wanted: Wanted, ends: readonly Settled[]): SpillwayError {
  const { type, outcome, nth, withinMs } = wanted
  const of = ends.filter((end) => end.type === type)
  const others = new Map<string, number>()
  for (const end of ends)
    if (end.type !== type) {
      const what = `${end.type} ${end.outcome} by ${end.by}`
      others.set(what, (others.get(what) ?? 0) + 1)
    }
  const what = `No ${nth > 1 ? `${nth} of ` : ''}${type}${conditions(wanted)} ended '${outcome}' within ${withinMs} ms.`
  const lines = [what, of.length > 0 ? `Of ${type} there was:` : `Nothing of ${type} was handled at all.`]
  if (of.length > shown) lines.push(`  … ${of.length - shown} before, and then`)
  for (const end of of.slice(-shown)) lines.push(`  ${inWords(end)}`)
  if (others.size > 0)
    lines.push(
      `Of others: ${[...others]
        .slice(0, shown)
        .map(([each, count]) => `${count} ${each}`)
        .join(', ')}.`,
    )
  if (ends.length === 0) lines.push('The spy heard of nothing: is it the `onSettled` of what runs?')
  return new SpillwayError('NOT_SEEN', lines.join('\n'), { details: { seen: of.slice(-shown) } })
}

function conditions({ id, by, where }: Wanted): string {
  const all = [
    id === undefined ? '' : ` with the id ${id}`,
    by === undefined ? '' : ` handled by ${by}`,
    where === undefined ? '' : ' that fits `where`',
  ]
  return all.join('')
}

function inWords({ outcome, by, attempt, reason, message }: Settled): string {
  const data =
    message === undefined ? 'one that could not be read' : `${message.id} ${describe(message.data)}`
  return `${outcome} at attempt ${attempt} by ${by}: ${data}${reason === undefined ? '' : ` (${reason})`}`
}
