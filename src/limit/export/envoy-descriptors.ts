// What Envoy makes of a request (rate_limits: lists of actions), and which bucket that is (the entries of descriptors; an empty value is any).
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { ExportOptions, Remarks } from './exported.ts'
import { exportedBounds, headerOf } from './plans.ts'
import { endpointsOf } from './wish.ts'

type Action = Readonly<Record<string, unknown>>
interface Entry {
  readonly key: string
  readonly value?: string
}

interface Described {
  readonly rateLimits: readonly { readonly actions: readonly Action[] }[]
  /** For each plan, smallest first. */
  readonly entries: readonly (readonly Entry[])[]
}

/** Undefined when Envoy cannot know the key or the endpoint, and why is in the remarks. */
export function rateLimitsOf(
  rule: CheckedRule,
  options: ExportOptions,
  remarks: Remarks,
): Described | undefined {
  const keys = keysOf(rule, options, remarks)
  const endpoints = endpointActions(rule, remarks)
  if (keys === undefined || endpoints === undefined) return undefined
  const plans = planActions(rule, options)
  const rateLimits = endpoints.flatMap((endpoint) =>
    plans.flatMap((plan) =>
      combinations(keys.map(({ actions }) => actions)).map((some) => ({
        actions: [...endpoint, ...plan, ...some],
      })),
    ),
  )
  const entries = plans.map((_, i) => [
    { key: 'rule', value: rule.name },
    ...(rule.on === undefined ? [] : [{ key: 'on', value: '1' }]),
    ...(plans.length > 1 ? [{ key: 'plan', value: `p${i}` }] : []),
    ...keys.map(({ key }) => ({ key })),
  ])
  return { rateLimits, entries }
}

/** Of each key the ways in which a request has it: one of them is. */
function keysOf(
  { by, missing }: CheckedRule,
  options: ExportOptions,
  remarks: Remarks,
): readonly { readonly key: string; readonly actions: readonly Action[] }[] | undefined {
  const found: { key: string; actions: Action[] }[] = []
  for (const part of by) {
    if (part.kind === 'address') {
      const { prefix6 = 64, prefix4 = 32, nat64 = [] } = part.options
      const masks = { v4_prefix_mask_len: prefix4, v6_prefix_mask_len: prefix6 }
      found.push({ key: 'masked_remote_address', actions: [{ masked_remote_address: masks }] })
      remarks.differs.push(
        `clients behind NAT64 (${['64:ff9b::/96', ...nat64].join(', ')}), and those whose IPv4 address comes mapped into IPv6 (::ffff:0:0/96), share the bucket of an IPv6 network`,
      )
      continue
    }
    const header = headerOf(part, options, 'Envoy', remarks)
    if (header === undefined) return undefined
    if (missing === 'reject') {
      remarks.lost.push(
        'missing: reject: Envoy bounds by a key, and refuses nobody for having none; a route that wants the header does',
      )
      return undefined
    }
    const key = `header_${header}`
    const has = { name: header, string_match: { safe_regex: { regex: '(?s).+' } } }
    const without = {
      header_value_match: {
        descriptor_key: key,
        descriptor_value: '-',
        expect_match: false,
        headers: [has],
      },
    }
    const value = { request_headers: { header_name: header, descriptor_key: key } }
    found.push({ key, actions: missing === 'skip' ? [value] : [value, without] })
  }
  const names = found.map(({ key }) => key)
  if (new Set(names).size === names.length) return found
  remarks.lost.push('by: the same header or address twice')
  return undefined
}

/** Lists of actions of which one at most is of a request: the first entries of its descriptor. */
function endpointActions(
  { on, name }: CheckedRule,
  remarks: Remarks,
): readonly (readonly Action[])[] | undefined {
  if (on === undefined) return [[{ generic_key: { descriptor_key: 'rule', descriptor_value: name } }]]
  const { http, calls } = endpointsOf(on)
  if (calls.length > 0)
    remarks.lost.push(`on: ${calls.join(', ')}: no endpoint of HTTP, and Envoy sees no calls`)
  const read = http.map((each) => [each, ...(/^([A-Za-z-]+|\*)(?: ([/*].*))?$/.exec(each) ?? [])])
  const odd = read.filter(([, all]) => all === undefined || /[^ -~]/.test(all))
  if (odd.length > 0) {
    remarks.lost.push(
      `on: ${odd.map(([each]) => each).join(', ')}: Envoy matches method and path apart, and letters of ASCII`,
    )
    return undefined
  }
  const large = http.filter((each) => programSize(each) > largestProgram)
  if (large.length > 0) {
    remarks.lost.push(
      `on: ${large.join(', ')}: as a regular expression it is larger than Envoy takes (re2.max_program_size.error_level); write \`*\` for a part of it`,
    )
    return undefined
  }
  const paths = new Map<string, string[]>()
  for (const [, , method = '*', path = '*'] of read) {
    const name = method.toUpperCase() === 'HEAD' ? 'GET' : method.toUpperCase()
    paths.set(name, [...(paths.get(name) ?? []), pathPattern(path)])
  }
  if (paths.size === 0) return undefined
  const any = paths.get('*') ?? []
  paths.delete('*')
  const methodOf = (method: string) => (method === 'GET' ? 'GET|HEAD' : method.replace(/\W/g, '\\$&'))
  // Whose method is none of those that have endpoints of their own.
  const others = { name: ':method', string_match: regex(anyCase([...paths.keys()].map(methodOf).join('|'))) }
  const matching = (headers: readonly object[], patterns: readonly string[]): readonly Action[] => [
    headers.length === 0
      ? { generic_key: { descriptor_key: 'rule', descriptor_value: name } }
      : { header_value_match: { descriptor_key: 'rule', descriptor_value: name, headers } },
    // One of them is: not all of them are not. As one expression they would be larger than Envoy takes.
    {
      header_value_match: {
        descriptor_key: 'on',
        descriptor_value: '1',
        expect_match: false,
        headers: patterns.map((pattern) => ({
          name: ':path',
          string_match: regex(`(?is)${pattern}(?:[?#].*)?`),
          invert_match: true,
        })),
      },
    },
  ]
  return [
    ...[...paths].map(([method, patterns]) =>
      matching([{ name: ':method', string_match: regex(anyCase(methodOf(method))) }], [...patterns, ...any]),
    ),
    ...(any.length > 0 ? [matching(paths.size === 0 ? [] : [{ ...others, invert_match: true }], any)] : []),
  ]
}

/** One of these is of a request: the named plans by their header, and the smallest for all others. */
function planActions(rule: CheckedRule, options: ExportOptions): readonly (readonly Action[])[] {
  const bounds = exportedBounds(rule, options)
  if (bounds.length === 1) return [[]]
  const is = (exact: string) => ({ name: options.plan!, string_match: { exact } })
  const action = (i: number, headers: readonly object[]): readonly Action[] => [
    { header_value_match: { descriptor_key: 'plan', descriptor_value: `p${i}`, headers } },
  ]
  const others = bounds.slice(1).map(({ plan }) => plan!)
  const isNot = { invert_match: true, treat_missing_header_as_empty: true }
  return [
    action(
      0,
      others.map((plan) => ({ ...is(plan), ...isNot })),
    ),
    ...others.map((plan, i) => action(i + 1, [is(plan)])),
  ]
}

function anyCase(pattern: string): string {
  return `(?i)(?:${pattern})`
}

function regex(pattern: string): object {
  return { safe_regex: { regex: pattern } }
}

/** Of RE2; what Envoy takes where nothing else is said. */
const largestProgram = 100

/** No less than what RE2 makes of the pattern of an endpoint's path. */
function programSize(endpoint: string): number {
  const path = endpoint.slice(endpoint.indexOf(' ') + 1)
  let size = 24
  for (const letter of path) size += letter === '/' ? 8 : letter === '*' ? 3 : /\w/.test(letter) ? 1 : 4
  return size
}

const slash = '(?:[/\\\\]|%2f|%5c)'

/** Over :path without its query. Envoy decodes what need not be encoded; what may be is looked for in both ways. */
function pathPattern(path: string): string {
  const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
  const isBelow = /.\/\*$/.test(plain)
  const pattern = [...(isBelow ? plain.slice(0, -1) : plain)]
    .map((letter) => {
      if (letter === '/') return `${slash}+`
      if (letter === '*') return '[^?#]*'
      if (/[A-Za-z0-9_]/.test(letter)) return letter
      const encoded = `%${letter.charCodeAt(0).toString(16).padStart(2, '0')}`
      return `(?:\\${letter}|${encoded})`
    })
    .join('')
  return `${pattern}${isBelow ? '[^?#/\\\\][^?#]*' : `${slash}*`}`
}

function combinations<Item>(lists: readonly (readonly Item[])[]): readonly (readonly Item[])[] {
  return lists.reduce<readonly (readonly Item[])[]>(
    (all, list) => all.flatMap((some) => list.map((item) => [...some, item])),
    [[]],
  )
}
