// Runs cases without a test runner: for a program that checks a live server, or certifies an engine.
import { asError } from '../../core/errors.ts'
import { type ConformanceCase, type Subject, skipReason } from './case.ts'
import { within } from './wait.ts'

export type CaseResult = { readonly id: string; readonly title: string } & (
  | { readonly outcome: 'passed'; readonly ms: number }
  | { readonly outcome: 'failed'; readonly ms: number; readonly error: Error }
  | { readonly outcome: 'skipped'; readonly reason: string }
)

export interface RunOptions {
  /** How many cases run at the same time: most of them wait most of the time. Default 8. */
  readonly concurrency?: number
  /** The bound of one case. Default 60 s. */
  readonly caseMs?: number
  /** Called as each case ends. */
  readonly onResult?: (result: CaseResult) => void
}

/** Runs the cases and resolves with their results, in their order. Never rejects because of a case. */
export async function runCases<S extends Subject>(
  cases: readonly ConformanceCase<S>[],
  subject: S,
  options: RunOptions = {},
): Promise<CaseResult[]> {
  const results: CaseResult[] = []
  let next = 0
  const worker = async () => {
    for (let index = next++; index < cases.length; index = next++) {
      const result = await runCase(cases[index]!, subject, options.caseMs ?? 60_000)
      results[index] = result
      options.onResult?.(result)
    }
  }
  await Promise.all(Array.from({ length: options.concurrency ?? 8 }, worker))
  return results
}

async function runCase<S extends Subject>(
  item: ConformanceCase<S>,
  subject: S,
  caseMs: number,
): Promise<CaseResult> {
  const { id, title } = item
  const reason = skipReason(item, subject)
  if (reason !== undefined) return { id, title, outcome: 'skipped', reason }
  const start = performance.now()
  try {
    await within(caseMs, id, item.run(subject))
    return { id, title, outcome: 'passed', ms: performance.now() - start }
  } catch (thrown) {
    return { id, title, outcome: 'failed', ms: performance.now() - start, error: asError(thrown) }
  }
}
