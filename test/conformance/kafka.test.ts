// The conformance suites on Kafka: one real broker. It has no queue; what it lacks of the stream is named and skipped.
import { Admin } from '@platformatic/kafka'
import { afterAll, beforeAll, describe } from 'vitest'
import { engineSubject, engineSuite, groupSuite, streamSuite } from '../../src/testing/conformance/index.ts'
import { kafka, type RunningServer } from '../servers/index.ts'
import { certify } from './certify.ts'
import { distantMembers } from './distant-member.ts'
import { openAt } from './engines.ts'

const missing = await kafka.missing()

describe(kafka.name, () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await kafka.start()
  })
  afterAll(() => server?.stop())
  const open = () => {
    const address = { engine: 'kafka', url: server!.url } as const
    return engineSubject({
      openEngine: (options) => openAt(address, options),
      startMember: distantMembers(address),
      trim: (stream, partition, below) => trim(address.url, stream, partition, below),
    })
  }
  certify('engine', { engine: engineSuite, stream: streamSuite, groups: groupSuite }, open, { missing })
})

/** As retention would, at once. */
async function trim(url: string, name: string, partition: number, below: number): Promise<void> {
  const admin = new Admin({ clientId: 'trim', bootstrapBrokers: [new URL(url).host] })
  try {
    await admin.deleteRecords({ topics: [{ name, partitions: [{ partition, offset: BigInt(below) }] }] })
  } finally {
    await admin.close()
  }
}
