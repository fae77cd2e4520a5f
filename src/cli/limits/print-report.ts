// The report of `spillway limits tune` for people.
import type { Report } from '../../limit/tune/report.ts'
import { printAdvice } from './print-advice.ts'
import { printFacts } from './print-facts.ts'
import { printTables } from './print-tables.ts'

export async function printReport(report: Report): Promise<void> {
  await printFacts(report)
  await printAdvice(report)
  await printTables(report)
}
