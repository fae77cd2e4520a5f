// Running the conformance suites against a live engine, in names of their own, beside whatever it does otherwise.
import { asError } from '../../core/errors.ts'
import { openEngine } from '../../engine-of.ts'
import type { Durability } from '../../ports/engine.ts'
import type { LimitPort } from '../../ports/limit.ts'
import type {
  CaseResult,
  ConformanceCase,
  EngineSubject,
  LimitAccess,
  LimitSubject,
  Subject,
} from '../../testing/conformance/index.ts'
import { cleanUp, type LeftBehind } from './cleanup.ts'
import { Ledger } from './ledger.ts'

export interface ExamineOptions {
  /** Beginnings of the ids of cases; all when there is none. */
  readonly only: readonly string[]
  /** How many cases run at the same time. */
  readonly concurrency: number
  /** The bound of one case. */
  readonly caseMs: number
  /** Ends it early: what was run by then is told. */
  readonly signal: AbortSignal
  onOpened(facts: {
    readonly name: string
    readonly url: string
    readonly durability: Durability
  }): Promise<void>
  /** After each case, and while it cleans up. */
  onProgress(phase: 'cases' | 'cleaning up', done: number, of: number, note: string): void
}

export interface Examination {
  readonly results: readonly Examined[]
  /** Rejections that nobody waited for any more: of cases that took too long, mostly. */
  readonly strays: readonly Error[]
  readonly leftBehind: LeftBehind
  readonly lacks: EngineSubject['lacks']
}

export type Examined = CaseResult & { readonly requires: readonly string[] }

export async function examine(url: string, options: ExamineOptions): Promise<Examination> {
  // Only now, so that no other command carries their weight.
  const suite = await import('../../testing/conformance/index.ts')
  const strays: Error[] = []
  // A case that is given up goes on in the dark, and what it rejects with must not end the others.
  process.on('unhandledRejection', (thrown) => strays.push(asError(thrown)))
  const ledger = new Ledger()
  const subject = await suite.engineSubject({
    openEngine: async (engineOptions) => ledger.watch(await openEngine(url, engineOptions)),
  })
  const ofEngine = [...suite.engineSuite, ...suite.queueSuite, ...suite.streamSuite, ...suite.groupSuite]
  const chosen = ofEngine.filter(({ id }) => fits(id, options.only))
  const ofLimits = suite.limitSuite.filter(({ id }) => fits(id, options.only))
  let limits: LimitSubject | undefined
  const results: Examined[] = []
  const requires = new Map([...chosen, ...ofLimits].map((item) => [item.id, item.requires]))
  try {
    await options.onOpened(subject.one)
    const stopped = new Promise<void>((resolve) => {
      if (options.signal.aborted) resolve()
      options.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const running = {
      ...options,
      onResult(result: CaseResult) {
        if (options.signal.aborted) return
        results.push({ ...result, requires: requires.get(result.id) ?? [] })
        options.onProgress('cases', results.length, requires.size, result.id)
      },
    }
    const run = async () => {
      await suite.runCases(
        chosen.map((item) => unless(options.signal, item)),
        subject,
        running,
      )
      if (ofLimits.length === 0 || options.signal.aborted) return
      limits = await limitsOf(url, subject, suite.limitSubject)
      await suite.runCases(
        ofLimits.map((item) => unless(options.signal, item)),
        limits,
        running,
      )
    }
    await Promise.race([run(), stopped])
  } finally {
    await limits?.close()
    await subject.close()
  }
  return { results, strays, lacks: subject.lacks, leftBehind: await cleaned(url, ledger, options) }
}

/** Whether an id begins so: `queue.dead` means `queue.dead` and `queue.dead.reason`, not `queue.deadline`. */
export function fits(id: string, only: readonly string[]): boolean {
  return only.length === 0 || only.some((begin) => id === begin || id.startsWith(`${begin}.`))
}

/** Once it is to end no further case begins. */
function unless<S extends Subject>(signal: AbortSignal, item: ConformanceCase<S>): ConformanceCase<S> {
  return { ...item, run: (subject) => (signal.aborted ? Promise.resolve() : item.run(subject)) }
}

/** Handles for its buckets. What an engine without any lacks is why their cases skip. */
async function limitsOf(
  url: string,
  { one, lacks }: EngineSubject,
  limitSubject: (access: LimitAccess) => Promise<LimitSubject>,
): Promise<LimitSubject> {
  const none: LimitPort = { statement: '', exchange: async () => [], sweep: async () => 0 }
  const open = async () => {
    if (one.limit === undefined) return { limit: none, close: async () => {} }
    const engine = await openEngine(patient(url))
    return { limit: engine.limit!, close: () => engine.close() }
  }
  const subject = await limitSubject({ open })
  return { ...subject, lacks: (need) => lacks('limit') ?? subject.lacks(need) }
}

/** What is examined is what a server answers, and not how soon while several cases ask for as much as may be asked. */
function patient(url: string): string {
  if (!/^rediss?:/.test(url) || url.includes('timeoutMs=')) return url
  return `${url}${url.includes('?') ? '&' : '?'}timeoutMs=10000`
}

/** On a handle of its own: cases may have left the others in any state. */
async function cleaned(url: string, ledger: Ledger, { onProgress }: ExamineOptions): Promise<LeftBehind> {
  const engine = await openEngine(url)
  try {
    return await cleanUp(engine, ledger, (done) => onProgress('cleaning up', done, ledger.queues.size, ''))
  } finally {
    await engine.close()
  }
}
