// The vectors of client addresses: docs/reference/client-addresses.json, which the tests run, as a page.
import { readFileSync } from 'node:fs'

export interface KeyVector {
  readonly input: string
  /** Null: it is no address. */
  readonly key: string | null
  readonly prefix6?: number
  readonly prefix4?: number
  readonly nat64?: readonly string[]
  /** Who published the case, or whose rule it follows. */
  readonly from: string
  readonly note?: string
}

export interface ClientVector {
  readonly trusted: readonly string[]
  /** Else X-Forwarded-For. */
  readonly header?: 'forwarded'
  /** Null: it has none. */
  readonly peer: string | null
  /** The lines of the header. */
  readonly lines: readonly string[]
  /** Null: unknown. */
  readonly client: string | null
  readonly from: string
  readonly note?: string
}

export interface RangeVector {
  readonly range: string
  readonly has: readonly string[]
  readonly hasNot: readonly string[]
  readonly from: string
}

export interface ClientAddresses {
  readonly keys: readonly { readonly title: string; readonly rows: readonly KeyVector[] }[]
  readonly clients: readonly { readonly title: string; readonly rows: readonly ClientVector[] }[]
  readonly ranges: readonly RangeVector[]
  /** Ranges that are refused, and what the refusal says to write. */
  readonly refused: readonly { readonly range: string; readonly write: readonly string[] }[]
}

export const clientAddresses: ClientAddresses = JSON.parse(
  readFileSync('docs/reference/client-addresses.json', 'utf8'),
)

export function clientAddressPage(): string {
  const { keys, clients, ranges, refused } = clientAddresses
  return [
    '# Client addresses',
    '',
    'Which key the address of a client has: `canonicalAddress(text, options)` of `spillway/limit`. Each line is a test. Where no option is named IPv6 counts by /64 and IPv4 as a whole. A dash is `undefined`: no address, and no key that others could share. *From* names who published the case, or whose rule it follows. For other programs the same vectors are in [client-addresses.json](client-addresses.json).',
    ...keys.flatMap(({ title, rows }) => [
      '',
      `## ${title}`,
      '',
      ...table(['address', 'options', 'key', 'from', ''], rows.map(keyRow)),
    ]),
    '',
    '## Clients behind proxies',
    '',
    "`trustedProxies(ranges, { header })` returns a function from a request to the address of its client: the peer's, or, when that is a trusted proxy, the first in the header from the right that is none. A dash is `undefined`: unknown, and the rule says what then (`missing`). Only the header that is named is read, by default `X-Forwarded-For`. There is no number of hops and no trusting of everybody: both believe what a client writes.",
    ...clients.flatMap(({ title, rows }) => [
      '',
      `### ${title}`,
      '',
      ...table(['trusted', 'peer', 'header', 'client', 'from', ''], rows.map(clientRow)),
    ]),
    '',
    '## Ranges',
    '',
    '`addressRanges([range])` reads an address as above. A range of IPv6 has no IPv4 addresses in it, unless it lies in `::ffff:0:0/96`.',
    '',
    ...table(
      ['range', 'in it', 'not in it', 'from'],
      ranges.map(({ range, has, hasNot, from }) => [code(range), codes(has), codes(hasNot), from]),
    ),
    '',
    'These are refused, with what to write instead.',
    '',
    ...table(
      ['range', 'the refusal says'],
      refused.map(({ range, write }) => [code(range), write.join(', ')]),
    ),
    '',
  ].join('\n')
}

function keyRow({ input, key, prefix6, prefix4, nat64, from, note }: KeyVector): readonly string[] {
  const options = Object.entries({ prefix6, prefix4, nat64 }).flatMap(([name, value]) =>
    value === undefined ? [] : [`\`${name}: ${JSON.stringify(value).replaceAll('"', "'")}\``],
  )
  return [code(input), options.join(', '), key === null ? '–' : code(key), from, note ?? '']
}

function clientRow({ trusted, peer, lines, client, from, note }: ClientVector): readonly string[] {
  const dash = (text: string | null) => (text === null ? '–' : code(text))
  return [
    codes(trusted) || 'none',
    dash(peer),
    lines.length === 0 ? 'none' : lines.map(code).join('<br>'),
    dash(client),
    from,
    note ?? '',
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}

function codes(texts: readonly string[]): string {
  return texts.map(code).join(', ')
}

/** What a table cannot show is written as in JSON. */
function code(text: string): string {
  return text === '' || text !== text.trim() || text.includes('\n')
    ? `\`${JSON.stringify(text)}\``
    : `\`${text}\``
}
