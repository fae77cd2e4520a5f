import { expect, test } from 'vitest'
import { parseUrl } from './url.ts'

test('hosts, login, database and what stands behind the question mark', () => {
  expect(parseUrl('redis://localhost')).toEqual({
    hosts: [{ host: 'localhost', port: 6379 }],
    user: undefined,
    password: undefined,
    database: 0,
    tls: false,
    prefix: undefined,
    timeoutMs: undefined,
    shown: 'redis://localhost',
  })
  expect(parseUrl('rediss://app:p%40ss@[::1]:7000,b.example/2?prefix={shop}&timeoutMs=250')).toEqual({
    hosts: [
      { host: '::1', port: 7_000 },
      { host: 'b.example', port: 6379 },
    ],
    user: 'app',
    password: 'p@ss',
    database: 2,
    tls: true,
    prefix: '{shop}',
    timeoutMs: 250,
    shown: 'rediss://[::1]:7000,b.example/2',
  })
  expect(parseUrl('redis://:secret@host')).toMatchObject({ user: undefined, password: 'secret' })
  expect(parseUrl('rediss://host?ca=/ca.pem').tls).toEqual({ ca: '/ca.pem' })
})

test.each([
  'redis:host',
  'redis://',
  'redis://host:0',
  'redis://host:70000',
  'redis://host/first',
  'redis://host?speed=high',
  'redis://host?ca=/ca.pem',
  'redis://%zz@host',
])('%s is none, and is not repeated with what may be a secret', (url) => {
  expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', engine: 'redis' }))
})
