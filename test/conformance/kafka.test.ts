// The conformance suites on Kafka: streams and consumer groups, and that queues are refused.
import { afterAll, beforeAll, describe, vi } from 'vitest'
import {
  type EngineSubject,
  engineSubject,
  engineSuite,
  groupSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { kafka, type RunningServer } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'

// Compaction is waited for a minute by each of its cases, and by all of them at once.
vi.setConfig({ maxConcurrency: 8 })

const missing = await kafka.missing()

describe('kafka', () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined)
      server = await kafka.start({
        settings: {
          'group.min.session.timeout.ms': '1000',
          // As soon as retention allows: minutes otherwise.
          'log.initial.task.delay.ms': '500',
          'log.retention.check.interval.ms': '500',
          'log.cleaner.backoff.ms': '500',
        },
      })
  })
  afterAll(() => server?.stop())
  const suites = { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }
  certify('engine', suites, () => subject(server!.url), { missing, caseMs: 200_000 })
})

function subject(url: string): Promise<EngineSubject> {
  const address = { engine: 'kafka', url } as const
  return engineSubject({
    openEngine: (options) => openAt(address, options),
    startMember: distantMembers(address),
    retainsWithinMs: 50_000,
    // It leaves alone what is younger than a minute.
    compactsWithinMs: 170_000,
  })
}
