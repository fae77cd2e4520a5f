// When a commit's log is synced on the thread that commits, and when on another.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { WalSync } from './wal-sync.ts'

const folder = await mkdtemp(join(tmpdir(), 'spillway-wal-sync-'))
afterAll(() => rm(folder, { recursive: true }))
const path = join(folder, 'log')
await writeFile(path, '')

/** A disk whose every sync takes as long as `takes` says, by a clock of its own. */
class Disk {
  takes = 0.1
  breaks = false
  here = 0
  there = 0
  now = 0
  /** Syncs of other threads end when this does. */
  held: Promise<void> = Promise.resolve()

  readonly wal: WalSync = new WalSync(path, {
    here: () => {
      this.here += 1
      this.#take()
    },
    there: async () => {
      this.there += 1
      await this.held
      this.#take()
    },
    elapsed: () => this.now,
  })

  #take(): void {
    this.now += this.takes
    if (this.breaks) throw new Error('EIO')
  }
}

test('before anything is known of the disk nothing is synced in place', async () => {
  const disk = new Disk()
  assert.equal(disk.wal.trySyncHere(), false)
  await disk.wal.sync()
  assert.equal(disk.wal.trySyncHere(), true)
  assert.deepEqual([disk.here, disk.there], [1, 1])
  await disk.wal.close()
})

test('one slow sync, on either thread, and the next ones are left to the other thread until the disk is quick again', async () => {
  const disk = new Disk()
  await disk.wal.sync()
  for (const slow of [() => assert.ok(disk.wal.trySyncHere()), () => disk.wal.sync()]) {
    disk.takes = 20
    await slow()
    disk.takes = 0.1
    let left = 0
    for (; !disk.wal.trySyncHere(); left++) await disk.wal.sync()
    assert.ok(left >= 5 && left <= 20, `${left} were left`)
  }
  await disk.wal.close()
})

test('a slow disk never blocks the thread', async () => {
  const disk = new Disk()
  disk.takes = 2
  for (let count = 0; count < 100; count++) {
    assert.equal(disk.wal.trySyncHere(), false)
    await disk.wal.sync()
  }
  assert.equal(disk.here, 0)
  await disk.wal.close()
})

test('while another sync is under way its successor is waited for', async () => {
  const disk = new Disk()
  await disk.wal.sync()
  const { promise, resolve } = Promise.withResolvers<void>()
  disk.held = promise
  const running = disk.wal.sync()
  assert.equal(disk.wal.trySyncHere(), false)
  resolve()
  await running
  assert.equal(disk.wal.trySyncHere(), true)
  await disk.wal.close()
})

test('after a sync in place has failed nothing is called durable any more', async () => {
  const disk = new Disk()
  await disk.wal.sync()
  disk.breaks = true
  assert.throws(() => disk.wal.trySyncHere(), { code: 'ENGINE_FAILED' })
  disk.breaks = false
  assert.throws(() => disk.wal.trySyncHere(), { code: 'ENGINE_FAILED' })
  assert.throws(() => disk.wal.check(), { code: 'ENGINE_FAILED' })
  await assert.rejects(disk.wal.sync(), { code: 'ENGINE_FAILED' })
  await disk.wal.close()
})
