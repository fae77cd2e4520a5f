import fc from 'fast-check'
import { expect, test } from 'vitest'
import { endpointOf } from './endpoint.ts'

test.each([
  ['POST', '/uploads', 'POST /uploads'],
  ['HEAD', '/search?q=1', 'GET /search'],
  ['GET', '/', 'GET /'],
  ['GET', '/?a', 'GET /'],
  ['POST', '/uploads/', 'POST /uploads'],
  ['POST', '/uploads///', 'POST /uploads'],
  ['POST', '/a//b', 'POST /a/b'],
  ['POST', '/%75ploads', 'POST /uploads'],
  ['POST', '/a%2Fb', 'POST /a/b'],
  ['POST', '/a\\b', 'POST /a/b'],
  ['POST', '/a%2Fb%FF', 'POST /a/b%FF'],
  ['POST', '/gr%C3%BC%C3%9Fe/%FF', 'POST /grüße/%FF'],
  ['POST', '/%E2%82%AC%F0%9F%98%80%ED%A0%80%C3', 'POST /€😀%ED%A0%80%C3'],
  ['POST', '/uploads#x', 'POST /uploads'],
  ['POST', '/%2575ploads', 'POST /%75ploads'],
  ['POST', 'http://api.example/uploads?x', 'POST /uploads'],
  ['GET', 'http://api.example', 'GET /'],
  ['OPTIONS', '*', 'OPTIONS *'],
  ['GET', '/file.txt', 'GET /file.txt'],
  ['GET', '/.well-known/x', 'GET /.well-known/x'],
  ['GET', '/a/..b', 'GET /a/..b'],
  ['GET', '/gr%C3%BC%C3%9Fe', 'GET /grüße'],
])('%s %s', (method, target, endpoint) => {
  expect(endpointOf(method, target)).toBe(endpoint)
})

test.each([
  '//host/uploads',
  '/\\host/uploads',
  'http://host//other/uploads',
  'http://host\\uploads',
  'http:/uploads',
  'http:uploads',
  'uploads',
  '/a/../b',
  '/..',
  '/a/.',
  '/a/%2e%2e/b',
  '/a%2f..%2fb',
  '/a/.%2E',
  '/a\\..\\b',
  '/./a',
])('%s has no name', (target) => {
  expect(endpointOf('GET', target)).toBeUndefined()
})

test('any text has a name or none, and never throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (target) => {
      const endpoint = endpointOf('GET', target)
      expect(endpoint === undefined || endpoint.startsWith('GET ')).toBe(true)
    }),
  )
})
