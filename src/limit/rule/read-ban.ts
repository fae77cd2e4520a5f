// The ban of a rule: after how many offences, for how long.
import type { Ban } from '../../core/bucket/ban.ts'
import { describe } from '../../core/errors.ts'
import { nearestName } from '../../core/known-options.ts'
import type { Fields } from './fields.ts'
import { periodUs } from './period.ts'

const known = ['after', 'within', 'for', 'upTo']
const dayUs = 86_400_000_000
const longestUs = 366 * dayUs

/** Undefined for a rule that bans nobody, and when a problem was found. */
export function readBan(
  fields: Fields,
  over: string,
  hasKey: boolean,
  perUs: number | undefined,
): Ban | undefined {
  const written = fields.get('ban')
  if (written === undefined) return undefined
  if (typeof written !== 'object' || written === null || Array.isArray(written))
    return fields.wrong('ban', `it is ${describe(written)}; write { after: 5, for: minute, upTo: day }`)
  if (!hasKey)
    return fields.wrong(
      'ban',
      'it goes with `by`: this rule bounds all together, and would shut out everybody',
    )
  if (over !== 'reject')
    return fields.wrong(
      'ban',
      `it goes with \`over: reject\`: who ${over === 'wait' ? 'waits' : 'is deferred'} has not been refused`,
    )
  if (fields.has('atOnce'))
    return fields.wrong(
      'ban',
      'it does not go with atOnce: who finds no place free has done nothing yet; bound how often with atMost',
    )
  const ban = written as Readonly<Record<string, unknown>>
  for (const field of Object.keys(ban))
    if (!known.includes(field)) {
      const meant = nearestName(field, known)
      fields.wrong('ban', `it has no ${field}${meant === undefined ? '' : `; did you mean ${meant}?`}`)
    }
  const limit = fields.whole('ban', ban.after, 1, 1_000_000, ' for `after`')
  const forUs = time(fields, 'for', ban.for)
  const withinUs = ban.within === undefined ? (perUs ?? forUs) : time(fields, 'within', ban.within)
  const upToUs = ban.upTo === undefined ? forUs && Math.max(forUs, dayUs) : time(fields, 'upTo', ban.upTo)
  if (limit === undefined || forUs === undefined || withinUs === undefined || upToUs === undefined)
    return undefined
  if (upToUs < forUs)
    return fields.wrong('ban', 'its upTo is shorter than its for, and bans do not get shorter')
  return { kind: 'ban', limit, withinUs, forUs, upToUs }
}

function time(fields: Fields, name: string, written: unknown): number | undefined {
  if (written === undefined)
    return fields.wrong('ban', `it says no ${name}; write { after: 5, for: minute, upTo: day }`)
  const us = periodUs(written)
  if (typeof us === 'string') return fields.wrong('ban', `${name}: ${us}`)
  if (us > longestUs)
    return fields.wrong('ban', `${name} is more than a year; who is never to come in is not to be served`)
  return us
}
