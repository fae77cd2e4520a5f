import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { SqliteQueue } from './queue.ts'
import { defaultBounds, Storage } from './storage.ts'

const folder = mkdtempSync(join(tmpdir(), 'spillway-storage-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Kills the thread with its next message. */
const poison = { length: 2 ** 53 } as unknown as SharedArrayBuffer

const silent = { wake() {}, notices() {}, failed() {} }

test('what is under way is bounded: callers wait, and when too many wait they are refused', async () => {
  const path = join(folder, 'bounded.db')
  const { storage } = await Storage.open(
    {
      path,
      wakeFolder: join(folder, 'wake'),
      synchronous: 'full',
      busyTimeoutMs: 5000,
      retentionEveryMs: 10_000,
    },
    { bytesUnderWay: 1000, callsWaiting: 3 },
    silent,
  )
  const queue = new SqliteQueue(storage)
  await queue.declare(['jobs'])
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  const send = (id: string) => queue.send('jobs', [{ id, body: 'x'.repeat(500) }])
  // One is larger than all that may be under way, and passes because nothing else is.
  const passing = queue.send('jobs', [{ id: 'large', body: 'x'.repeat(5000) }])
  const waiting = ['a', 'b', 'c'].map(send)
  await expect(send('d')).rejects.toMatchObject({ code: 'BACKLOG_FULL' })
  other.exec('COMMIT')
  await Promise.all([passing, ...waiting])
  await send('e')
  const claimed = await queue.claim('jobs', { limit: 10, leaseMs: 1000, waitMs: 0 })
  expect(claimed.map(({ id }) => id)).toEqual(['large', 'a', 'b', 'c', 'e'])
  other.close()
  await storage.close()
})

async function openStorage(name: string, failed: (code: string) => void): Promise<Storage> {
  const { storage } = await Storage.open(
    {
      path: join(folder, name),
      wakeFolder: join(folder, 'wake'),
      synchronous: 'full',
      busyTimeoutMs: 5000,
      retentionEveryMs: 10_000,
    },
    defaultBounds,
    { ...silent, failed: (error) => failed(error.code) },
  )
  return storage
}

test('an operation that breaks a rule of ours fails alone, as such', async () => {
  const storage = await openStorage('broken.db', () => {})
  const asked = storage.ask({ kind: 'declareQueues', rules: null, names: 7 as unknown as string[] })
  await expect(asked).rejects.toMatchObject({ code: 'INTERNAL' })
  expect(await storage.ask({ kind: 'findQueue', name: 'x' })).toBe(null)
  await storage.close()
  expect(() => storage.ask({ kind: 'findQueue', name: 'x' })).toThrow(/CLOSED/)
})

test('when the storage thread dies, what is under way and what comes after is refused, and the owner told once', async () => {
  const failures: string[] = []
  const storage = await openStorage('dying.db', (code) => failures.push(code))
  storage.slabs.added.push([9, poison])
  const asked = [1, 2].map(() => storage.ask({ kind: 'findQueue', name: 'x' }))
  for (const answer of asked) await expect(answer).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  expect(() => storage.ask({ kind: 'findQueue', name: 'x' })).toThrow(/ENGINE_FAILED/)
  expect(failures).toEqual(['ENGINE_FAILED'])
  await storage.close()
})

test('when the storage thread dies while it is being closed, closing ends all the same', async () => {
  const storage = await openStorage('dying-late.db', () => expect.fail('closing tells nobody'))
  storage.slabs.added.push([9, poison])
  const asked = storage.ask({ kind: 'findQueue', name: 'x' })
  const closing = storage.close()
  await expect(asked).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  await closing
})
