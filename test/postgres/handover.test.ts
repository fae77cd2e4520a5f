// A connection that is ended in the very moment in which the pool hands it from one caller to the next.
import { expect, test } from 'vitest'
import { postgresDatabase } from '../../src/engines/postgres/database.ts'
import { answersBetween } from './answers-between.ts'
import { onServers } from './on-servers.ts'

const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
const fields = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'
const terminating = Buffer.concat([
  Buffer.from('E'),
  Buffer.from([0, 0, 0, fields.length + 4]),
  Buffer.from(fields),
])

/** In front of the server; once armed, the next answer that ends has the server's farewell in the same packet. */
async function farewell(url: string) {
  let armed = false
  const proxy = await answersBetween(url, () => ({
    answered(data) {
      if (!armed || !data.subarray(-readyForQuery.length).equals(readyForQuery)) return { data }
      armed = false
      return { data: Buffer.concat([data, terminating]), last: true }
    },
  }))
  return { ...proxy, arm: () => (armed = true) }
}

await onServers('handing over', {}, (server) => {
  test('who waited for the connection is told, and the process lives on', async () => {
    const proxy = await farewell(server().url)
    const database = await postgresDatabase({ url: proxy.url, poolSize: 1 }).open('handover')
    const unit = { inbox: { consumer: 'c', ids: ['i'] }, outbox: [], timeoutMs: 5_000 }
    proxy.arm()
    const asking = database.handled('c', ['i'])
    const committing = database.commit({ ...unit, effects: async () => {} }).catch((error) => error)
    expect((await asking).ids).toEqual(new Set())
    expect(await committing).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
    expect(await database.commit(unit)).toBe('committed')
    await database.close()
    proxy.close()
  })
})
