// The socket at which a process is looked after: what stands at its path.
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openControl } from '../../src/call/server/control.ts'

const client = { targets: [] } as unknown as Parameters<typeof openControl>[1]
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-control-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a file that is no socket is left as it is', async () => {
  const path = join(folder, 'orders.db')
  writeFileSync(path, 'dear')
  const link = join(folder, 'link')
  symlinkSync(path, link)
  for (const place of [path, link])
    await expect(openControl(place, client)).rejects.toMatchObject({ code: 'CONFIGURATION' })
  expect(readFileSync(path, 'utf8')).toBe('dear')
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect(readdirSync(folder)).toEqual(['link', 'orders.db'])
})

test('a socket that somebody answers at is left to them', async () => {
  const path = join(folder, 's')
  const close = await openControl(path, client)
  await expect(openControl(path, client)).rejects.toMatchObject({ code: 'CONFIGURATION' })
  expect(lstatSync(path).mode & 0o777).toBe(0o600)
  await close()
  expect(readdirSync(folder)).toEqual([])
})

test('closing takes away no socket that another process has put there since', async () => {
  const path = join(folder, 's')
  const close = await openControl(path, client)
  rmSync(path)
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(path, resolve))
  await close()
  expect(lstatSync(path).isSocket()).toBe(true)
  await new Promise((resolve) => other.close(resolve))
})
