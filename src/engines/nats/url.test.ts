import { expect, test } from 'vitest'
import { parseUrl } from './url.ts'

test('servers with and without ports, several of them, and IPv6', () => {
  expect(parseUrl('nats://a:1,b,[::1]:3/').servers).toEqual(['a:1', 'b', '[::1]:3'])
})

test('credentials are taken out, and are not shown', () => {
  const url = parseUrl('nats://me:p%40ss:word@a:1?monitor=http://a:8222')
  expect(url).toMatchObject({ shown: 'nats://a:1', user: 'me', password: 'p@ss:word', token: undefined })
  expect(url.parameters).toEqual({ monitor: 'http://a:8222' })
  expect(parseUrl('nats://secret@a')).toMatchObject({ shown: 'nats://a', user: undefined, token: 'secret' })
})

test.each([
  'nats://',
  'nats://a:0',
  'nats://a:99999',
  'nats://a,,b',
  'nats://me%:secret@a',
  'nats://a?tsl=true',
  'nats://a?tls=true&tls=false',
  'nats://:secret@a',
  'kafka://a',
])('%s is refused', (url) => {
  expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})
