import { expect, test } from 'vitest'
import { parseUrl } from './url.ts'

test('hosts with and without ports, several of them, and IPv6', () => {
  expect(parseUrl('kafka://a:1,b,[::1]:3/').seeds).toEqual([
    { host: 'a', port: 1 },
    { host: 'b', port: 9092 },
    { host: '::1', port: 3 },
  ])
})

test('credentials are taken out, and are not shown', () => {
  expect(parseUrl('kafka://me:p%40ss@a:1')).toEqual({
    seeds: [{ host: 'a', port: 1 }],
    shown: 'kafka://a:1',
    credentials: { mechanism: 'PLAIN', username: 'me', password: 'p@ss' },
  })
})

test('a password may have colons', () => {
  expect(parseUrl('kafka://me:a:b%3Ac@h').credentials).toMatchObject({ username: 'me', password: 'a:b:c' })
})

test.each([
  'kafka://',
  'kafka://me%:secret@a',
  'kafka://me:secr%zzet@a',
  'kafka://a:0',
  'kafka://a:99999',
  'kafka://a,,b',
  'http://a',
  'kafka://a:b',
  'kafka://a?x=1',
  'kafka://a?tls=true&tls=false',
  'kafka://:secret@a',
])('%s is refused', (url) => {
  expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

test('the refusal does not repeat the password', () => {
  expect(() => parseUrl('kafka://me:secret@a:b')).toThrow(expect.not.stringContaining('secret'))
})
