// kill -9 between saving a message and saying so to the engine that it came from: the work is done once all the same.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { open } from '../../src/index.ts'
import { office, start } from './office.ts'

const texts = Array.from({ length: 20 }, (_, n) => `text ${String(n).padStart(2, '0')}`)

async function doneAfter(fault: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-killed-'))
  try {
    {
      await using spillway = await open(`sqlite:${join(folder, 'broker')}`)
      await (await spillway.queue(office.queues.file)).sendMany(texts)
    }
    const program = join(import.meta.dirname, 'office.ts')
    const worker = spawn(process.execPath, [program, folder, fault], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const [, signal] = (await once(worker, 'exit')) as [number | null, string | null]
    expect(signal).toBe('SIGKILL')
    const { running, done, close } = await start(folder)
    try {
      // Copies come when the lease of who was killed has ended; all of them have to be there to be judged.
      await running.queue(office.queues.file).send('last')
      await vi.waitFor(() => expect(done()).toContain('last'), { timeout: 20_000 })
      await running.drained()
      return done()
    } finally {
      await close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('killed after saving: each is done once', { timeout: 90_000 }, async () => {
  expect(await doneAfter('saved')).toEqual(['last', ...texts])
})

test('the fault is noticed: one that acknowledges first loses what it had in hand', {
  timeout: 90_000,
}, async () => {
  expect(await doneAfter('unsaved')).not.toEqual(['last', ...texts])
})
