// The suites themselves are proved: each fault that is planted here makes the cases fail that are there to notice it, the
// same cases pass without it, and every case is there for some fault.
import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, test, vi } from 'vitest'
import type { Engine } from '../../src/ports/engine.ts'
import {
  type ConformanceCase,
  databaseSuite,
  engineSuite,
  groupSuite,
  limitSuite,
  queueSuite,
  runCases,
  type Subject,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { answerFaults } from './faults/answers.ts'
import { onPostgres, onSqlite } from './faults/beyond-memory.ts'
import * as compact from './faults/compact.ts'
import * as control from './faults/control.ts'
import * as database from './faults/database.ts'
import { engineFaults } from './faults/engine.ts'
import { type Fault, faultySubject, override } from './faults/fault.ts'
import * as flow from './faults/flow.ts'
import { groupFaults } from './faults/groups.ts'
import { joinFaults, onFiles } from './faults/join.ts'
import * as leases from './faults/leases.ts'
import { faultyLimits, limitFaults } from './faults/limit.ts'
import { nameFaults } from './faults/names.ts'
import * as outbox from './faults/outbox.ts'
import * as parking from './faults/parking.ts'
import * as producers from './faults/producers.ts'
import * as queue from './faults/queue.ts'
import { redrivenFaults } from './faults/redriven.ts'
import { retainFaults } from './faults/retain.ts'
import * as rules from './faults/rules.ts'
import { dedupFaults } from './faults/rules-dedup.ts'
import * as order from './faults/rules-order.ts'
import * as shares from './faults/rules-shares.ts'
import { sagaFaults } from './faults/saga.ts'
import { scheduleFaults } from './faults/schedules.ts'
import * as stream from './faults/stream.ts'
import { suspectFaults } from './faults/suspect.ts'
import { trimFaults } from './faults/trim.ts'

// A fault is mostly noticed by something that does not come: many can be waited for at once.
vi.setConfig({ maxConcurrency: 16 })

type Closable = Subject & { close(): Promise<void> }

const engineCases = [...engineSuite, ...queueSuite, ...streamSuite, ...groupSuite]
const proved = new Set<string>()

/** Runs the cases with these ids on a subject, and gives it up afterwards. */
async function run<S extends Closable>(
  cases: readonly ConformanceCase<S>[],
  ids: readonly string[],
  open: () => Promise<S>,
) {
  const chosen = cases.filter(({ id }) => ids.includes(id))
  assert.equal(chosen.length, new Set(ids).size, `all of them are cases: ${ids.join(', ')}`)
  const subject = await open()
  try {
    return await runCases(chosen, subject, { concurrency: 12, caseMs: 45_000 })
  } finally {
    await subject.close().catch(() => {})
  }
}

/**
 * One test: with the fault every case named fails, and not because the fault itself is written wrongly. Tried again, since
 * a machine that stalls can hide that something came too early.
 */
function noticed<S extends Closable>(
  what: string,
  ids: readonly string[],
  cases: readonly ConformanceCase<S>[],
  open: () => Promise<S>,
): void {
  for (const id of ids) proved.add(id)
  test(`${what}: noticed by ${ids.join(', ')}`, { timeout: 60_000, retry: 3 }, async () => {
    for (const result of await run(cases, ids, open)) {
      assert.equal(result.outcome, 'failed', `${result.id} ${result.outcome}`)
      if (result.outcome !== 'failed') continue
      const { error } = result
      assert.ok(!(error instanceof TypeError) && !(error instanceof ReferenceError), error.stack)
    }
  })
}

/**
 * The proof that it is the fault: the same cases pass where nothing is planted. Those that fail are tried again, without the
 * others: on a machine that stalls a lease may end before its case gets to it.
 */
function sound<S extends Closable>(
  what: string,
  ids: readonly string[],
  cases: readonly ConformanceCase<S>[],
  open: () => Promise<S>,
): void {
  let left = [...new Set(ids)]
  test(what, { timeout: 60_000, retry: 2 }, async () => {
    const results = await run(cases, left, open)
    left = results.filter(({ outcome }) => outcome !== 'passed').map(({ id }) => id)
    for (const result of results)
      assert.equal(
        result.outcome,
        'passed',
        `${result.id}: ${'error' in result ? result.error.stack : result.outcome}`,
      )
  })
}

const nothing = { plant: () => (target: Engine) => target }
const idsOf = (faults: readonly { readonly fails: readonly string[] }[]) =>
  faults.flatMap(({ fails }) => fails)

const engines: Readonly<Record<string, readonly Fault<Engine>[]>> = {
  'an engine': engineFaults,
  'declaring queues': queue.declareFaults,
  sending: queue.sendFaults,
  claiming: queue.claimFaults,
  leases: leases.leaseFaults,
  settling: leases.settleFaults,
  'dead letters': leases.deadFaults,
  'earlier starts': suspectFaults,
  redriving: redrivenFaults,
  'declaring rules': rules.ruleFaults,
  'the order of keys': order.keyOrderFaults,
  priorities: order.priorityFaults,
  deduplication: dedupFaults,
  'groups of a queue': shares.groupFaults,
  'the concurrency of a queue': shares.concurrencyFaults,
  'the rate of a queue': shares.rateFaults,
  pausing: control.pauseFaults,
  peeking: control.peekFaults,
  cancelling: control.cancelFaults,
  purging: control.purgeFaults,
  schedules: scheduleFaults,
  'waiting for others': flow.flowFaults,
  'keeping what is finished': flow.finishedFaults,
  progress: flow.progressFaults,
  'declaring streams': stream.declareFaults,
  appending: stream.appendFaults,
  reading: stream.readFaults,
  trimming: trimFaults,
  retention: retainFaults,
  compaction: compact.compactFaults,
  producers: producers.producerFaults,
  versions: stream.versionFaults,
  bounds: stream.boundsFaults,
  groups: groupFaults,
  listing: nameFaults,
}

for (const [subject, faults] of Object.entries(engines))
  describe.concurrent(`faults of ${subject}`, () => {
    for (const fault of faults) noticed(fault.what, fault.fails, engineCases, () => faultySubject(fault))
  })

describe.concurrent('faults of what is missing', () => {
  for (const fault of [
    ...queue.delayFaults,
    ...rules.missingFaults,
    ...stream.missingVersionsFaults,
    ...producers.missingProducersFaults,
    ...compact.missingCompactionFaults,
  ])
    noticed(fault.what, fault.fails, engineCases, () => faultySubject(fault))
  sound('none: delay is refused', idsOf(queue.delayFaults), engineCases, () =>
    faultySubject(queue.withoutDelay),
  )
  sound('none: rules and control are refused', idsOf(rules.missingFaults), engineCases, () =>
    faultySubject(rules.withoutAll),
  )
  sound('none: compaction is refused', idsOf(compact.missingCompactionFaults), engineCases, () =>
    faultySubject(compact.withoutCompaction),
  )
  sound('none: producers are refused', idsOf(producers.missingProducersFaults), engineCases, () =>
    faultySubject(producers.withoutProducers),
  )
  sound('none: versions are refused', idsOf(stream.missingVersionsFaults), engineCases, () =>
    faultySubject(stream.withoutVersions),
  )
  noticed('strict is passed over', ['engine.strict'], engineCases, () =>
    faultySubject(nothing, ({ strict: _, ...options }) => options),
  )
})

const databases: Readonly<Record<string, readonly Fault<database.RowsDatabase>[]>> = {
  committing: database.commitFaults,
  'the inbox': database.duplicateFaults,
  'answers to calls': answerFaults,
  progress: database.progressFaults,
  'finishing again': database.repeatedFaults,
  'going back': parking.rewindFaults,
  parking: parking.parkingFaults,
  sagas: sagaFaults,
  'the outbox': outbox.outboxFaults,
  'the lock of the relay': outbox.lockFaults,
}

const noDatabaseFault = { plant: () => (target: database.RowsDatabase) => override(target, {}) }

for (const [subject, faults] of Object.entries(databases))
  describe.concurrent(`faults of ${subject}`, () => {
    for (const fault of faults)
      noticed(fault.what, fault.fails, databaseSuite, () => database.faultyDatabase(fault))
  })

describe.concurrent('faults of opening a database', () => {
  noticed('services share one outbox', ['database.services-apart'], databaseSuite, () =>
    database.faultyDatabase(noDatabaseFault, { service: () => 'all' }),
  )
  let opening = false
  noticed('opening what another is opening fails', ['database.open.concurrent'], databaseSuite, () =>
    database.faultyDatabase(noDatabaseFault, {
      async around(open) {
        if (opening) throw new Error('duplicate key value violates unique constraint')
        opening = true
        await new Promise((resolve) => setTimeout(resolve, 5))
        opening = false
        return open()
      },
    }),
  )
})

describe.concurrent('no fault', () => {
  sound('every case passes on the engine', idsOf(Object.values(engines).flat()), engineCases, () =>
    faultySubject({ plant: () => (engine) => override(engine, {}) }),
  )
  sound('every case passes on the database', idsOf(Object.values(databases).flat()), databaseSuite, () =>
    database.faultyDatabase(noDatabaseFault),
  )
})

describe.concurrent('faults that need a process to stop, or retention', () => {
  const sqlite = onSqlite()
  for (const { what, fails, open } of sqlite.faults) noticed(what, fails, engineCases, open)
  sound('none', idsOf(sqlite.faults), engineCases, sqlite.sound)
  afterAll(sqlite.end)
})

describe.concurrent('faults of limits', () => {
  for (const fault of limitFaults)
    noticed(fault.what, fault.fails, limitSuite, () => faultyLimits(fault.plant()))
  sound('none', idsOf(limitFaults), limitSuite, () => faultyLimits((port) => override(port, {})))
})

describe.concurrent('faults of joining', () => {
  const files = onFiles()
  for (const fault of joinFaults) noticed(fault.what, fault.fails, databaseSuite, () => files.open(fault))
  sound('none', idsOf(joinFaults), databaseSuite, files.sound)
  afterAll(files.end)
})

const postgres = await onPostgres()
describe.skipIf(postgres.missing !== undefined)(
  `faults of an asynchronous driver${postgres.missing ? `, skipped: ${postgres.missing}` : ''}`,
  () => {
    beforeAll(postgres.start)
    afterAll(postgres.end)
    describe.concurrent('faults', () => {
      for (const { what, fails, open } of postgres.faults) noticed(what, fails, databaseSuite, open)
      sound('none', idsOf(postgres.faults), databaseSuite, postgres.sound)
    })
  },
)

describe('every case', () => {
  for (const { id } of [...engineCases, ...databaseSuite, ...limitSuite])
    test(`${id} is there for some fault`, () => assert.ok(proved.has(id)))
})
