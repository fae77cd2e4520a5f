// Where metrics are served: what --metrics takes, and that it is served there.
import { expect, test } from 'vitest'
import { metricsAt, serveMetrics } from './metrics.ts'

test.each([
  ['9464', { host: '127.0.0.1', port: 9464 }],
  ['0.0.0.0:9464', { host: '0.0.0.0', port: 9464 }],
  ['metrics.internal:1', { host: 'metrics.internal', port: 1 }],
  ['[::1]:9464', { host: '::1', port: 9464 }],
  ['[fe80::1%eth0]:9464', { host: 'fe80::1%eth0', port: 9464 }],
  // Which of its parts would be the port?
  ['::1', undefined],
  ['::1:9464', undefined],
  ['[::1]', undefined],
  ['[]:9464', undefined],
  ['[::1:9464', undefined],
  [':9464', undefined],
  ['65536', undefined],
  ['', undefined],
])('--metrics %s', (text, at) => {
  expect(metricsAt(text)).toEqual(at)
})

test('it is served at an address of IPv6, which stands in brackets where it is shown', async ({ skip }) => {
  const at = { ...metricsAt('[::1]:0')!, port: 0 }
  const server = await serveMetrics(at).catch((thrown: Error) => {
    if (/EADDRNOTAVAIL|EAFNOSUPPORT/.test(thrown.message)) skip('this machine has no IPv6')
    throw thrown
  })
  expect(server.address).toBe('http://[::1]:0/metrics')
  await server.close()
})
