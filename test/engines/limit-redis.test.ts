// The arithmetic in Lua against that of `core/bucket`, at times that are chosen.
import { createClient } from '@redis/client'
import { expect, test } from 'vitest'
import { script } from '../../src/engines/redis/exchange-script.ts'
import { packed, unpacked } from '../../src/engines/redis/pack.ts'
import { redis } from '../servers/index.ts'
import { compareWithArithmetic } from './random-exchanges.ts'

const missing = await redis.missing()

test.skipIf(missing !== undefined)(
  `Redis answers as the arithmetic does, to the last unit${missing === undefined ? '' : ` (${missing})`}`,
  async () => {
    await using server = await redis.start({ persistence: 'none' })
    const client = await createClient({ url: server.url, RESP: 2 }).connect()
    await compareWithArithmetic(
      async (requests, nowUs) => {
        const answer = await client.sendCommand(['EVAL', script, ...packed(requests, '', nowUs)])
        return unpacked(requests, answer as unknown as number[])
      },
      { steps: 1_000 },
    )
    expect(await client.dbSize()).toBeGreaterThan(0)
    client.destroy()
  },
  60_000,
)
