// Two tables, for the terminal and for the page: what the service has to take, and how well buckets tell the abusive from the honest.
import type { Report, SeparationPoint, SeparationTable, ServicePeak } from '../../limit/tune/report.ts'
import { count } from '../output/words.ts'
import { costs, percent } from './numbers.ts'

/** The title of a column and the text of its cells. */
export type TableColumn<Row> = readonly [name: string, value: (row: Row) => string]

interface ServiceRow extends ServicePeak {
  readonly name: string
}

export const serviceTitle = 'What the service has to take, of all keys together'

export const serviceColumns: readonly TableColumn<ServiceRow>[] = [
  ['in one', ({ name }) => name],
  ['keys active', ({ keys }) => count(keys)],
  ['asked for', ({ asked }) => costs(asked)],
  ['let through', ({ admitted }) => costs(admitted)],
  ['if each takes all it may', ({ atMost }) => costs(atMost)],
]

export function serviceRows({ service }: Report): ServiceRow[] {
  return (['second', 'minute'] as const).flatMap((name) => {
    const peak = service[name]
    return peak === null ? [] : [{ name, ...peak }]
  })
}

export function separationTitle({ by, abusiveKeys, honestKeys }: SeparationTable): string {
  const who = by === 'label' ? 'labelled' : 'with the most cost'
  return `Abuse (${count(abusiveKeys, 'key')} ${who}) against ${count(honestKeys, 'honest key')}; first the recommendation`
}

export const separationColumns: readonly TableColumn<SeparationPoint>[] = [
  ['refill a second', ({ ratePerSecond }) => costs(ratePerSecond)],
  ['capacity', ({ capacity }) => costs(capacity)],
  ['honest refused', ({ honestRefused }) => percent(honestRefused)],
  ['honest keys refused', ({ honestKeysRefused }) => percent(honestKeysRefused)],
  ['abusive let through', ({ abusiveAdmitted }) => percent(abusiveAdmitted)],
]
