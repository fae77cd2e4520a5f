import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { WakeFiles } from './wake-files.ts'

const root = mkdtempSync(join(tmpdir(), 'spillway-wake-'))
afterAll(() => rmSync(root, { recursive: true }))

/** Wake files with a way to wait for the next wake-up. */
function woken(folder: string): { files: WakeFiles; next: () => Promise<void>; count: () => number } {
  let count = 0
  const waiting: (() => void)[] = []
  const files = new WakeFiles(folder, () => {
    count++
    for (const go of waiting.splice(0)) go()
  })
  return { files, count: () => count, next: () => new Promise((resolve) => waiting.push(resolve)) }
}

test('each wakes the others, again and again, and not itself', async () => {
  const folder = join(root, 'pair')
  const one = woken(folder)
  const two = woken(folder)
  for (let i = 0; i < 5; i++) {
    const [fromOne, fromTwo] = [two.next(), one.next()]
    one.files.touch()
    await fromOne
    const before = two.count()
    two.files.touch()
    await fromTwo
    expect(two.count() - before).toBe(0)
  }
  one.files.close()
  two.files.close()
  expect(readdirSync(folder)).toEqual([])
})

test('who is alone writes nothing', () => {
  const folder = join(root, 'alone')
  const { files } = woken(folder)
  const [name] = readdirSync(folder)
  truncateSync(join(folder, name!))
  for (let i = 0; i < 10; i++) files.touch()
  expect(statSync(join(folder, name!)).size).toBe(0)
  files.close()
})

test('the file of a process that died is removed, that of a living one stays', () => {
  const folder = join(root, 'dead')
  woken(folder).files.close()
  writeFileSync(join(folder, '999999999-dead'), '')
  writeFileSync(join(folder, `${process.ppid}-alive`), '')
  const { files } = woken(folder)
  expect(readdirSync(folder).some((name) => name.endsWith('-dead'))).toBe(false)
  expect(readdirSync(folder)).toContain(`${process.ppid}-alive`)
  files.close()
})

test('a file that was taken for that of a dead process comes back', async () => {
  const folder = join(root, 'back')
  const one = woken(folder)
  const [name] = readdirSync(folder)
  rmSync(join(folder, name!))
  const two = woken(folder)
  await expect.poll(() => readdirSync(folder)).toContain(name)
  const next = two.next()
  one.files.touch()
  await next
  one.files.close()
  two.files.close()
})
