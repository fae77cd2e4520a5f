// The conformance suites on NATS JetStream: a current server, and the old one that a distribution ships.
import { afterAll, beforeAll, describe } from 'vitest'
import {
  type EngineSubject,
  engineSubject,
  engineSuite,
  groupSuite,
  queueSuite,
  streamSuite,
} from '../../src/testing/conformance/index.ts'
import { nats, packagedNats, type RunningServer } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'

for (const launcher of [nats, packagedNats]) {
  const missing = await launcher.missing()
  describe(launcher.name, () => {
    let server: RunningServer | undefined
    beforeAll(async () => {
      if (missing === undefined) server = await launcher.start()
    })
    afterAll(() => server?.stop())
    const suites = { engine: engineSuite, queue: queueSuite, stream: streamSuite, groups: groupSuite }
    certify('engine', suites, () => subject(server!.url), { missing })
  })
}

function subject(url: string): Promise<EngineSubject> {
  const address = { engine: 'nats', url } as const
  return engineSubject({
    openEngine: (options) => openAt(address, options),
    startMember: distantMembers(address),
    retainsWithinMs: 50_000,
  })
}
