// What a rule wants of a gateway that counts requests by buckets; or why none can hold it.
import { guaranteesOf } from '../guarantee.ts'
import type { Bound, CheckedRule } from '../rule/checked-rule.ts'

export type Wish = {
  /** What the rule allows at worst, in requests. */
  readonly ruleMost: number
  readonly plan: string | undefined
} & (
  | {
      /** Holds so many requests, refilled by `tokens` in `us`. */
      readonly kind: 'bucket'
      readonly capacity: number
      readonly tokens: number
      readonly us: number
      readonly windowMs: number
    }
  /** No more than so many in any window: `pace`, one after the other. */
  | { readonly kind: 'atMost' | 'pace'; readonly limit: number; readonly windowMs: number }
  | { readonly kind: 'atOnce'; readonly limit: number }
)

/** A text is the reason. A request counts as what the rule says that it costs. */
export function wishOf(rule: CheckedRule, bound: Bound): Wish | string {
  const { cost = 1, perUs = 0, over } = rule
  const { algorithm, plan } = bound
  if (typeof cost !== 'number')
    return `gateways count requests, and this rule counts what each costs (${costName(cost)})`
  const limit = Math.floor(bound.limit / cost)
  const { most } = guaranteesOf({ ...rule, bounds: [bound] })[0]!
  const common = { plan, ruleMost: Math.floor(most / cost) }
  const windowMs = perUs / 1_000
  switch (algorithm.kind) {
    case 'token-bucket': {
      const { unit, rate, tickUs, capacity } = algorithm
      if (over === 'wait' && capacity === 1)
        return { ...common, kind: 'pace', limit: Math.round((perUs * rate) / (unit * tickUs)), windowMs }
      return { ...common, kind: 'bucket', capacity: limit, tokens: rate, us: unit * tickUs * cost, windowMs }
    }
    case 'log':
    case 'sliding-window':
      return { ...common, kind: 'atMost', limit, windowMs }
    case 'fixed-window':
      return "a window that begins with a key's first request: nothing there begins and ends with it; without `window` the rule bounds any window, and that can be held"
    case 'calendar-window':
      return 'a window of the calendar: nothing there knows days and time zones; without `window` the rule bounds any window, and that may be held'
    case 'concurrency':
      if (rule.adaptive !== undefined)
        return 'a number that finds itself from latency: write one, such as `atOnce: 20`, for what is in front'
      return { ...common, kind: 'atOnce', limit }
    default:
      return 'gateways have no such algorithm'
  }
}

function costName(cost: unknown): string {
  return typeof cost === 'string' ? cost : 'a function'
}

/** Which of the endpoints are those of HTTP; the others are calls, which gateways do not see. */
export function endpointsOf(on: readonly string[]): {
  readonly http: readonly string[]
  readonly calls: readonly string[]
} {
  const isHttp = (name: string) => /^(?:[A-Za-z-]*\*|[A-Za-z-]+ [/*])/.test(name)
  return { http: on.filter(isHttp), calls: on.filter((name) => !isHttp(name)) }
}

/** Endpoints as regular expressions (PCRE and RE2) over `METHOD /path`: as `endpoint.ts` matches, and doubled or reversed slashes are slashes. */
export function endpointPattern(name: string): string {
  const slash = '[/\\\\]'
  const plain = /[^ ]\/$/.test(name) ? name.slice(0, -1) : name
  // What stands behind the last slash is something: without it it would be the endpoint above.
  const isBelow = /[^ ]\/\*$/.test(plain)
  const pattern = [...(isBelow ? plain.slice(0, -1) : plain)]
    .map((letter) => {
      if (letter === '/') return `${slash}+`
      if (letter === '*') return '.*'
      const [low, high] = [letter.toLowerCase(), letter.toUpperCase()]
      if (letter > '\x7f') return low === high ? letter : `(?:${low}|${high})`
      return letter.replace(/[.+?^${}()|[\]\\#"]/, '\\$&')
    })
    .join('')
  return `${pattern}${isBelow ? '[^/\\\\].*' : `${slash}*`}`
}
