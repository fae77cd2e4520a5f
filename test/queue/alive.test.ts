// A process lives for as long as one of its handlers runs, also when what that waits for would not keep it alive.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'spillway-alive-'))
afterAll(() => rmSync(folder, { recursive: true }))

const program = `
  import { open, unchecked } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
  const spillway = await open(${JSON.stringify(`sqlite:${folder}`)})
  const queue = await spillway.queue('work', { data: unchecked(), deadline: '1500ms', retry: { attempts: 1 } })
  await queue.send('a')
  queue.consume((_, { signal }) => new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      console.log(signal.reason.code)
      resolve()
      void spillway.close()
    })
  }), { concurrency: 1 })`

test('a handler that waits for nothing but its signal hears of its deadline; then the process ends by itself', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 25_000,
  })
  expect({ stdout, stderr, status }).toEqual({ stdout: 'HANDLER_TIMEOUT\n', stderr: '', status: 0 })
})
