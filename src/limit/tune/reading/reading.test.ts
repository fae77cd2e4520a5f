import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { readLogs } from '../read-logs.ts'
import type { IntakeOptions } from './intake.ts'
import { eachLine, type Source } from './lines.ts'

/** In pieces of so many bytes. */
function source(content: string | Buffer, piece = 7): Source {
  const bytes = Buffer.from(content as Buffer)
  const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, index) =>
    bytes.subarray(index * piece, (index + 1) * piece),
  )
  return { name: 'log', size: bytes.length, open: () => Readable.from(pieces) }
}

async function linesOf(content: string | Buffer, piece?: number) {
  const lines: (string | undefined)[] = []
  await eachLine(
    source(content, piece),
    (line) => lines.push(line),
    () => {},
  )
  return lines
}

async function read(content: string | Buffer, options: IntakeOptions = {}) {
  const { requests: all, facts, parts } = await readLogs([source(content, 1_000)], options, () => {})
  using requests = all
  const found: Record<string, [number, number][]> = {}
  let key = ''
  requests.each({
    begin(name) {
      key = name
      found[key] = []
    },
    some(times, costs, from, to) {
      for (let index = from; index < to; index++) found[key]!.push([times[index]! / 1e6, costs[index]!])
    },
    end() {},
  })
  return { found, facts, parts }
}

const text = '\ufeffone\r\ntwo\n\nžluťoučký 👩‍👩‍👧‍👦\nlast'

test.each([1, 2, 3, 7, 64, 1_000])('lines in pieces of %i bytes, plain and gzipped', async (piece) => {
  const wanted = ['one', 'two', '', 'žluťoučký 👩‍👩‍👧‍👦', 'last']
  expect(await linesOf(text, piece)).toEqual(wanted)
  expect(await linesOf(gzipSync(text), piece)).toEqual(wanted)
  // As logs are appended to one another.
  expect(await linesOf(Buffer.concat([gzipSync('a\nb'), gzipSync('c\n')]), piece)).toEqual(['a', 'bc'])
  expect(await linesOf('', piece)).toEqual([])
})

test('a line that is too long is not kept, and the next one is read', async () => {
  expect(await linesOf(`a\n${'x'.repeat(3_000_000)}\nb\n`, 50_000)).toEqual(['a', undefined, 'b'])
})

test('a gzipped file that is cut off is an error', async () => {
  const cut = gzipSync('x\n'.repeat(10_000)).subarray(0, -9)
  await expect(linesOf(cut)).rejects.toMatchObject({ code: 'INVALID_DATA' })
})

const access = [
  '10.0.0.1 - frank [17/May/2015:10:05:03 +0000] "GET /a?b=1 HTTP/1.1" 200 12 "http://x/" "An \\"agent\\""',
  '10.0.0.2 - - [17/May/2015:10:05:02 +0000] "POST /b HTTP/1.1" 429 -',
  '10.0.0.1 - frank [17/May/2015:10:05:04 +0000] "\\x16\\x03" 400 0 "-" "-"',
  '::1 - jo ann [17/May/2015:10:05:04 +0000] "GET / HTTP/1.1" 200 5',
].join('\n')
const start = Date.parse('2015-05-17T10:05:00Z') / 1_000

test('access logs by each of their fields', async () => {
  const keys = async (key: string) => Object.keys((await read(access, { key })).found)
  expect(await keys('address')).toEqual(['10.0.0.1', '10.0.0.2', '::/64'])
  expect(await keys('user')).toEqual(['frank', 'jo ann'])
  expect(await keys('path')).toEqual(['/a', '/b', '/'])
  expect(await keys('method')).toEqual(['GET', 'POST', '\\x16\\x03'])
  expect(await keys('agent')).toEqual(['An \\"agent\\"'])
  expect(await keys('address+status')).toEqual(['10.0.0.1+200', '10.0.0.2+429', '10.0.0.1+400', '::/64+200'])
  const { found, facts } = await read(access)
  expect(found).toEqual({
    '10.0.0.1': [
      [start + 3, 1],
      [start + 4, 1],
    ],
    '10.0.0.2': [[start + 2, 1]],
    '::/64': [[start + 4, 1]],
  })
  expect(facts).toMatchObject({
    requests: 4,
    refusedThen: 1,
    outOfOrder: 1,
    resolutionSeconds: 1,
    key: 'address',
  })
  expect((await read(access, { key: 'global', cost: 'bytes' })).found.global).toEqual([
    [start + 2, 0],
    [start + 3, 12],
    [start + 4, 0],
    [start + 4, 5],
  ])
})

test('JSON by its fields, with costs, and times of every kind', async () => {
  const lines = [
    { time: '2026-01-01T00:00:00Z', user: { id: 7 }, cost: 2 },
    { time: 1_767_225_601, user: { id: 7 } },
    { time: '1767225602.5', user: { id: 8 }, cost: 0.25, a: 'x+y', b: 'z' },
    { time: 1_767_225_600_250, user: null },
  ]
  const content = lines.map((line) => JSON.stringify(line)).join('\n')
  const { found, facts, parts } = await read(content, { key: 'user.id' })
  const [begin, quarter] = [1_767_225_600, 100]
  expect(parts).toBe(quarter)
  expect(found).toEqual({
    7: [
      [begin, 2 * quarter],
      [begin + 1, quarter],
    ],
    8: [[begin + 2.5, quarter / 4]],
  })
  expect(facts).toMatchObject({
    requests: 3,
    keys: 2,
    withoutKey: 1,
    totalCost: 3.25,
    resolutionSeconds: 0.1,
  })
  expect((await read(content, { key: 'user.id', without: ['7'] })).facts).toMatchObject({
    requests: 1,
    leftOut: 2,
  })
  expect(Object.keys((await read(content, { key: 'a+b' })).found)).toEqual(['x\\+y+z'])
})

test('--time names another field, also inside', async () => {
  const { facts } = await read('{"at":{"begin":7},"user":"a"}\n{"time":7,"user":"a"}', { time: 'at.begin' })
  expect(facts).toMatchObject({ requests: 1, brokenLines: 1, from: '1970-01-01T00:00:07.000Z' })
  expect(facts.broken[0]!.reason).toBe('no field at.begin')
})

test('what is broken is counted, and the first ones are told', async () => {
  const good = '{"time":1,"user":"a"}'
  const bad = [
    '{"time":1,',
    '[1]',
    '{"user":"a"}',
    '{"time":"soon","user":"a"}',
    '{"time":2,"user":"a","cost":-1}',
    '{"time":2,"user":"a","cost":"2"}',
    'plain words',
  ]
  const { facts } = await read([good, ...bad, good, '', ...bad].join('\n'))
  expect(facts).toMatchObject({ requests: 2, brokenLines: 14, key: 'user' })
  expect(facts.broken.slice(0, 8)).toEqual([
    { log: 'log', line: 2, reason: 'no JSON' },
    { log: 'log', line: 3, reason: 'no address, user and time in square brackets' },
    { log: 'log', line: 4, reason: 'no field time' },
    { log: 'log', line: 5, reason: 'its time cannot be read' },
    { log: 'log', line: 6, reason: 'its cost is no number from 0' },
    { log: 'log', line: 7, reason: 'its cost is no number from 0' },
    { log: 'log', line: 8, reason: 'no address, user and time in square brackets' },
    { log: 'log', line: 11, reason: 'no JSON' },
  ])
  expect(facts.broken.length).toBe(10)
})

test.each([
  ['', {}, /The log is empty/],
  ['nonsense\n{', {}, /None of 2 lines could be read: log:1: no address.*log:2: no JSON/],
  [
    '{"time":1,"user":"a"}',
    { key: 'device' },
    /None of 1 requests has a value for device; they have time, user\./,
  ],
  ['{"time":1,"user":"a"}', { key: 'user', without: ['a'] }, /All 1 requests were left out/],
  ['{"time":1,"user":"a"}', { key: 'user', without: ['b'] }, /no such key/],
  ['{"time":1,"size":3}', {}, /Name it by --key.*time, size/],
  ['{"time":1,"user":"a"}', { key: 'user+' }, /names no field/],
  ['{"time":1,"user":"a"}', { key: 'user', cost: 'size' }, /no field size/],
])('%j with %j computes nothing', async (content, options, said) => {
  await expect(read(content, options)).rejects.toThrow(said)
})

test('keys of any length, bytes and alphabet', async () => {
  const keys = ['x'.repeat(100_000), `${'x'.repeat(100_000)}y`, '\ud800', '한국', '', '\u0000', '__proto__x']
  const content = keys.map((user) => JSON.stringify({ time: 1, user })).join('\n')
  const { facts, found } = await read(content, { key: 'user' })
  expect(facts).toMatchObject({ requests: keys.length, keys: keys.length })
  for (const key of Object.keys(found)) expect(key.length).toBeLessThan(200)
})

test('a long key is left out by what it is, and by what is printed of it', async () => {
  const user = 'x'.repeat(300)
  const content = `${JSON.stringify({ time: 1, user })}\n{"time":2,"user":"b"}`
  const [printed] = Object.keys((await read(content, { key: 'user' })).found)
  for (const each of [user, printed!])
    expect((await read(content, { key: 'user', without: [each] })).facts).toMatchObject({
      keys: 1,
      leftOut: 1,
    })
})

test('what is wrong with the question is no fault of the log', async () => {
  const asked = read('{"time":1,"size":3}')
  await expect(asked).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  await expect(asked).rejects.not.toThrow(/cannot be read to its end/)
})

test('what costs more than a rule can count is a broken line, and no number that ends the computing', async () => {
  const at = (cost: number) => JSON.stringify({ time: 1_764_000_000, user: 'a', cost })
  const { facts, found } = await read([at(1), at(1e17), at(1.7e308)].join('\n'), { key: 'user' })
  expect(facts).toMatchObject({ requests: 1, brokenLines: 2 })
  expect(found).toEqual({ a: [[1_764_000_000, 1]] })
})
