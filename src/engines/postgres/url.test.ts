import { expect, test } from 'vitest'
import { parseUrl } from './url.ts'

test('what is for us is taken out, and what is for the client library passes', () => {
  const theirs = 'sslmode=require&application_name=app&connect_timeout=5&channel_binding=require'
  expect(parseUrl(`postgres://u:p@h/db?schema=of_mine&listen=false&${theirs}`)).toEqual({
    url: `postgres://u:p@h/db?${theirs}`,
    shown: 'postgres://u@h/db',
    schema: 'of_mine',
    listen: false,
  })
})

test.each([
  ['schem=x', "'schem'"],
  ['poolSize=5', "'poolSize'"],
  ['Schema=x', "'Schema'"],
  ['schema=x&schema=y', "'schema' twice"],
  ['listen=perhaps', 'neither true nor false'],
])('?%s is refused by name', (query, told) => {
  expect(() => parseUrl(`postgres://u:secret@h/db?${query}`)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(told) }),
  )
})

test.each([
  ['postgres://user:secret@host:5432/db?sslmode=require', 'postgres://user@host:5432/db'],
  ['postgresql://host/db', 'postgresql://host/db'],
  ['postgres://user:secret@[::1]:5433/db', 'postgres://user@[::1]:5433/db'],
  ['postgres://user:@host/db', 'postgres://user@host/db'],
  ['postgres://user@host/db?password=secret', 'postgres://user@host/db'],
])('%s is shown as %s', (url, shown) => {
  expect(parseUrl(url)).toMatchObject({ url, shown, schema: undefined, listen: undefined })
})

test.each([
  'mysql://user:secret@host/db',
  'postgres://user:sec#ret@host/db',
  'postgres://user:p?secret@host/db',
  'postgres://user:secret@one,two/db',
  'postgres://user:secret@one:1,two:2/db',
  'secret',
  '',
])('%s is refused, and not repeated', (url) => {
  let message = ''
  try {
    parseUrl(url)
  } catch (error) {
    message = String(error) + JSON.stringify(error)
  }
  expect(message).toContain('INVALID_OPTION')
  expect(message).not.toMatch(/sec/)
})
