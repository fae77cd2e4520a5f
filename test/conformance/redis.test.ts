// The conformance suites on Redis: a server that syncs before it answers, and one that is a cluster by itself.
import { afterAll, beforeAll, describe } from 'vitest'
import { engineSubject, engineSuite, limitSubject, limitSuite } from '../../src/testing/conformance/index.ts'
import { type RedisCluster, type RunningServer, redis, redisCluster } from '../servers/index.ts'
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

describe('redis, a cluster of three', () => {
  let cluster: RedisCluster | undefined
  beforeAll(async () => {
    if (missing === undefined) cluster = await redisCluster()
  }, 60_000)
  afterAll(() => cluster?.stop())
  const on = (url: string) => () =>
    limitSubject({ open: () => opened({ engine: 'redis', url: cluster!.url + url }) })
  // What stands in braces decides the slot: all buckets are in one.
  certify('limits in one slot', { limit: limitSuite }, on('?prefix={conformance}'), { missing })
  // As much as may be in one request are 25,000 calls of one slot each, which is said of one slot above.
  const inTime = limitSuite.filter(({ id }) => id !== 'limit.many')
  certify('limits in many slots', { limit: inTime }, on(''), { missing })
})

async function opened(address: { readonly engine: 'redis'; readonly url: string }) {
  const engine = await openAt(address)
  return { limit: engine.limit!, close: () => engine.close() }
}
