// The one way in which vitest runs conformance cases: concurrently, each named by its id and title, skips with their reason.
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type ConformanceCase, type Subject, skipReason } from '../../src/testing/conformance/index.ts'

export interface Openable extends Subject {
  close(): Promise<void>
}

interface Options {
  /** The bound of one case. Default 60 s. */
  readonly caseMs?: number
  /** Why none of it can run here. */
  readonly missing?: string | undefined
}

/** Runs the suites against one subject, which is opened before the first case and closed after the last. */
export function certify<S extends Openable>(
  name: string,
  suites: Readonly<Record<string, readonly ConformanceCase<S>[]>>,
  open: () => Promise<S>,
  { caseMs = 60_000, missing }: Options = {},
): void {
  const title = missing === undefined ? name : `${name}, skipped: ${missing}`
  describe.skipIf(missing !== undefined)(title, () => {
    let subject: S
    beforeAll(async () => {
      subject = await open()
    })
    afterAll(() => subject?.close())
    for (const [suite, cases] of Object.entries(suites))
      describe.concurrent(suite, () => {
        for (const item of cases)
          test(
            `${item.id}: ${item.title}`,
            async ({ skip }) => {
              const reason = skipReason(item, subject)
              if (reason !== undefined) skip(reason)
              await item.run(subject)
            },
            caseMs,
          )
      })
  })
}
