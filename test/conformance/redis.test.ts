// The conformance suites on Redis: a server that syncs before it answers, and one that is a cluster by itself.
import { afterAll, beforeAll, describe } from 'vitest'
import { engineSubject, engineSuite, limitSubject, limitSuite } from '../../src/testing/conformance/index.ts'
import { type RunningServer, redis } from '../servers/index.ts'
import { certify } from './certify.ts'
import { openAt } from './engines.ts'

const missing = await redis.missing()

describe('redis', () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await redis.start()
  })
  afterAll(() => server?.stop())
  const address = () => ({ engine: 'redis', url: server!.url }) as const
  certify(
    'engine',
    { engine: engineSuite },
    () => engineSubject({ openEngine: (options) => openAt(address(), options) }),
    { missing },
  )
  certify('limits', { limit: limitSuite }, () => limitSubject({ open: () => opened(address()) }), { missing })
})

describe('redis, a cluster', () => {
  let server: RunningServer | undefined
  beforeAll(async () => {
    if (missing === undefined) server = await redis.start({ cluster: true })
  })
  afterAll(() => server?.stop())
  // What stands in braces decides the slot, so that the requests over several buckets are in one.
  const address = () => ({ engine: 'redis', url: `${server!.url}?prefix={conformance}` }) as const
  certify('limits', { limit: limitSuite }, () => limitSubject({ open: () => opened(address()) }), { missing })
})

async function opened(address: { readonly engine: 'redis'; readonly url: string }) {
  const engine = await openAt(address)
  return { limit: engine.limit!, close: () => engine.close() }
}
