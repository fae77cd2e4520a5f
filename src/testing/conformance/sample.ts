// Names, bodies and keys that the cases use: fresh names, so that cases can run beside one another and beside real work,
// and the bodies and keys that have broken encoders, drivers and batch statements before.
import { randomBytes } from 'node:crypto'

/** A name that nobody has used: `conformance-orders-1f0c…`. */
export function fresh(what: string): string {
  return `conformance-${what}-${randomBytes(6).toString('hex')}`
}

/** The numbers from 0 to `count` - 1. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

/** The same numbers in every run: from 0 up to 1. */
export function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** The same whole numbers in every run: from 0, below what is asked. */
export function wholeChance(seed: number): (below: number) => number {
  const random = chance(seed)
  return (below) => Math.floor(random() * below)
}

/** Bodies as the envelope encodes them, one line of JSON, and two that an opaque string may also be. */
export const unusualBodies: readonly string[] = [
  '',
  ' ',
  JSON.stringify(''),
  JSON.stringify('Straße, naïve, Ελληνικά, 漢字, العربية'),
  JSON.stringify('e\u0301 is not \u00e9'),
  JSON.stringify('🚚👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿'),
  JSON.stringify('\ufeff after a byte order mark, \u2028 and \u2029'),
  JSON.stringify('"'),
  JSON.stringify("'"),
  JSON.stringify("'; drop table messages; --"),
  JSON.stringify('\\ \\\\ \\n $1 ? %s {} {"a":1} [1,2] NULL'),
  JSON.stringify('line\nline\r\nline,\nline\t,\n,'),
  JSON.stringify('a NUL \0 and a bell \u0007'),
  JSON.stringify('half a pair \ud83d'),
  '{"b":1,"a":2, "a" : 3 ,"n":12345678901234567890.1200,"e":1E+2}',
  JSON.stringify({ type: 'shop.placed', data: { lines: numbers(3).map((line) => ({ line })) } }),
]

/** 200 KB of UTF-8: over the buffers that drivers start with. */
export function largeBody(): string {
  return JSON.stringify(`${'ä'.repeat(50_000)}${'x'.repeat(100_000)}`)
}

export const unusualKeys: readonly string[] = [
  'a',
  'A',
  'customer 17 ',
  "o'brien",
  '"quoted"',
  'a/b\\c:d,e;f|g',
  '%25$1?',
  'straße',
  'ключ',
  '鍵',
  '🗝️',
  'e\u0301',
  '\u00e9',
  '0',
  'null',
  'k'.repeat(200),
]

/** A body of exactly `bytes` bytes of UTF-8: a JSON string of two-byte letters, evened out. */
export function bodyOfBytes(bytes: number): string {
  const inner = bytes - 2
  return `"${inner % 2 === 1 ? 'x' : ''}${'é'.repeat(Math.floor(inner / 2))}"`
}
