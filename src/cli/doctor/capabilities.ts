// The capability table of an engine as the cases found it: what it says it can do, and how many cases show it.
import { capabilityTable, portTable } from '../../ports/capability.ts'
import type { Column } from '../output/table.ts'
import type { Examination, Examined } from './examine.ts'

export interface Capability {
  /** `queue`, `queue.delay`, …: as the cases call it. */
  readonly need: string
  readonly title: string
  readonly has: boolean
  /** Cases that require it; where it is missing, those that show how asking for it is refused. */
  readonly passed: number
  readonly failed: number
}

const fencing = 'a lost lease or partition is refused by the engine itself'

export function capabilitiesOf({ results, lacks }: Examination): Capability[] {
  const rows = Object.entries(capabilityTable).flatMap(([port, features]) => [
    [port, `a ${port}`],
    [`${port}.fencing`, fencing],
    ...Object.entries(features).map(([name, { title }]) => [`${port}.${name}`, title]),
  ]) as [Parameters<typeof lacks>[0], string][]
  rows.push(['limit', 'limits that processes share'])
  return (
    rows
      .map(([need, title]) => ({ need, title, has: lacks(need) === undefined }))
      // Of a port that is not there nothing more needs to be said.
      .filter(
        ({ need }) => need in portTable || lacks(need.split('.')[0] as 'queue' | 'stream') === undefined,
      )
      .map((row) => ({ ...row, ...tally(results, row.has ? row.need : `without ${row.need}`) }))
  )
}

function tally(results: readonly Examined[], requirement: string) {
  const about = results.filter(({ requires }) => requires.includes(requirement))
  return {
    passed: about.filter(({ outcome }) => outcome === 'passed').length,
    failed: about.filter(({ outcome }) => outcome === 'failed').length,
  }
}

export const columns: readonly Column<Capability>[] = [
  { title: 'CAPABILITY', value: ({ need }) => need },
  { title: 'HERE', value: ({ has }) => (has ? 'yes' : 'no') },
  { title: 'SHOWN BY', value: shown },
  { title: 'WHAT IT IS', value: ({ title }) => title, rest: true },
]

function shown({ has, passed, failed }: Capability): string {
  if (failed > 0) return `${failed} of ${passed + failed} cases FAILED`
  if (passed === 0) return '–'
  return `${passed} case${passed === 1 ? '' : 's'}${has ? '' : ': refused'}`
}
