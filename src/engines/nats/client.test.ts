import { expect, test } from 'vitest'
import { type Client, loadClient } from './client.ts'

test('without the library the error names the command that installs it', async () => {
  const missing = Object.assign(new Error("Cannot find package '@nats-io/transport-node' imported from x"), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
  await expect(loadClient(() => Promise.reject(missing))).rejects.toMatchObject({
    code: 'CLIENT_MISSING',
    message: expect.stringContaining('npm install @nats-io/transport-node@3'),
  })
})

test('another version of the library is refused in the same way', async () => {
  await expect(loadClient(async () => ({}) as unknown as Client)).rejects.toMatchObject({
    code: 'CLIENT_MISSING',
  })
})
