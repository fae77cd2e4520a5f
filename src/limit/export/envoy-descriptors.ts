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
        `clients behind NAT64 (${['64:ff9b::/96', ...nat64].join(', ')}) share the bucket of an IPv6 network`,
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

/** Lists of actions of which one at most is of a request: the first entry of its descriptor. */
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
  const paths = new Map<string, string[]>()
  for (const [, , method = '*', path = '*'] of read) {
    const name = method.toUpperCase() === 'HEAD' ? 'GET' : method.toUpperCase()
    paths.set(name, [...(paths.get(name) ?? []), pathPattern(path)])
  }
  if (paths.size === 0) return undefined
  const any = paths.get('*') ?? []
  paths.delete('*')
  const methodOf = (method: string) => (method === 'GET' ? 'GET|HEAD' : method.replace(/\W/g, '\\$&'))
  const matching = (pattern: string, invert: boolean, patterns: readonly string[]): readonly Action[] => {
    const path = `(?is)(?:${patterns.join('|')})(?:[?#].*)?`
    const headers = [
      ...(pattern === ''
        ? []
        : [
            {
              name: ':method',
              string_match: regex(`(?i)(?:${pattern})`),
              ...(invert ? { invert_match: true } : {}),
            },
          ]),
      { name: ':path', string_match: regex(path) },
    ]
    return [{ header_value_match: { descriptor_key: 'rule', descriptor_value: name, headers } }]
  }
  return [
    ...[...paths].map(([method, patterns]) => matching(methodOf(method), false, [...patterns, ...any])),
    ...(any.length > 0 ? [matching([...paths.keys()].map(methodOf).join('|'), true, any)] : []),
  ]
}

/** One of these is of a request: the named plans by their header, and the smallest for all others. */
function planActions(rule: CheckedRule, options: ExportOptions): readonly (readonly Action[])[] {
  const bounds = exportedBounds(rule, options)
  if (bounds.length === 1) return [[]]
  const is = (plans: readonly string[]) => ({
    name: options.plan!,
    string_match: regex(plans.map((plan) => plan.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')),
  })
  const others = bounds.slice(1).map(({ plan }) => plan!)
  const action = (i: number, plans: readonly string[], isOne: boolean): readonly Action[] => [
    {
      header_value_match: {
        descriptor_key: 'plan',
        descriptor_value: `p${i}`,
        ...(isOne ? {} : { expect_match: false }),
        headers: [is(plans)],
      },
    },
  ]
  return [action(0, others, false), ...others.map((plan, i) => action(i + 1, [plan], true))]
}

function regex(pattern: string): object {
  return { safe_regex: { regex: pattern } }
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
