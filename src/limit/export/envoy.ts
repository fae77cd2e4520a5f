// Rules in the language of Envoy: a local rate limit filter for each, with a token bucket for each value of its key.
import type { CheckedRule } from '../rule/checked-rule.ts'
import { envoyBucket } from './envoy-bucket.ts'
import { rateLimitsOf } from './envoy-descriptors.ts'
import {
  comment,
  type ExportedRule,
  type Exporter,
  type ExportOptions,
  notHeld,
  Remarks,
  ruleComments,
} from './exported.ts'
import { exportedBounds, remarkPlans } from './plans.ts'
import { wishOf } from './wish.ts'
import { yamlOf } from './yaml.ts'

/** Buckets of each rule. */
const mostKeys = 40_000

const general = [
  'Bounds are those of one Envoy, all its threads together: two of them allow twice as much. They begin anew when Envoy is started, or takes another configuration of these filters.',
  `Each rule keeps ${mostKeys} buckets. Where more keys ask, the one that asked longest ago is forgotten, and begins anew.`,
  'Not all or nothing: each rule is a filter of its own, and what one refuses was counted by those before it.',
  'Each request counts as one. Who is refused reads 429, without Retry-After and RateLimit.',
  'Endpoints want normalize_path: true and merge_slashes: true in the connection manager. Addresses are those that Envoy trusts: set use_remote_address and xff_num_trusted_hops. Headers that say who somebody is have to be set by what authenticates before, never by clients.',
]

interface Translated {
  readonly report: ExportedRule
  readonly filter: object | undefined
}

/** Filters for http_filters, before the router. Pure: it depends on nothing but the rules and the options. */
export const toEnvoy: Exporter = (rules, options) => {
  const translated = rules.map((rule) => translate(rule, options))
  const reports = translated.map(({ report }) => report)
  const held = translated.filter(({ filter }) => filter !== undefined)
  const lines = [
    ...comment(
      'Rate limits by Spillway (spillway limits export --to envoy): items of http_filters, before envoy.filters.http.router. Written for the v3 API, and tried with Envoy 1.40.',
    ),
    '#',
    ...general.flatMap((line) => comment(`- ${line}`)),
    ...notHeld(reports),
    ...(held.length === 0 ? ['', '# Nothing is held.', '[]'] : []),
    ...translated.flatMap(({ report, filter }, i) =>
      filter === undefined
        ? []
        : [
            '',
            ...comment(`---- Rule ${report.rule}`),
            ...ruleComments(report, rules[i]!),
            ...yamlOf([filter]),
          ],
    ),
    '',
  ]
  return { text: lines.join('\n'), rules: reports, general }
}

function translate(rule: CheckedRule, options: ExportOptions): Translated {
  const remarks = new Remarks()
  const nothing = (): Translated => ({ report: remarks.of(rule, false), filter: undefined })
  const buckets: object[] = []
  for (const bound of exportedBounds(rule, options)) {
    const wish = wishOf(rule, bound)
    if (typeof wish === 'string') {
      remarks.lost.push(wish)
      return nothing()
    }
    if (wish.kind === 'atOnce') {
      remarks.lost.push(
        'atOnce: Envoy counts no requests that are under way by a key; circuit_breakers.max_requests of a cluster does for all together',
      )
      return nothing()
    }
    const bucket = envoyBucket(wish, remarks)
    if (bucket === undefined) return nothing()
    buckets.push(bucket)
  }
  const described = rateLimitsOf(rule, options, remarks)
  if (described === undefined) return nothing()
  if (rule.over === 'wait')
    remarks.lost.push('over: wait: Envoy lets nobody wait; what is too much is refused')
  if (rule.over === 'defer') remarks.lost.push('over: defer: Envoy has no queue; what is too much is refused')
  if (rule.ban !== undefined) remarks.lost.push('ban: Envoy bans nobody; what is too much is refused')
  if (rule.except.length > 0) remarks.lost.push('except: Envoy bounds these too')
  remarkPlans(rule, options, 'Envoy', remarks)
  const percent = (numerator: number) => ({ default_value: { numerator, denominator: 'HUNDRED' } })
  const filter = {
    name: `spillway.${rule.name}`,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit',
      stat_prefix: `spillway_${rule.name.replace(/\W/g, '_')}`,
      // Of what the rule is not about; so many come in no second.
      token_bucket: { max_tokens: 4_294_967_295, tokens_per_fill: 4_294_967_295, fill_interval: '1s' },
      always_consume_default_token_bucket: false,
      filter_enabled: percent(100),
      // In shadow it counts, and refuses nothing.
      filter_enforced: percent(rule.shadow ? 0 : 100),
      max_dynamic_descriptors: mostKeys,
      rate_limits: described.rateLimits,
      descriptors: described.entries.map((entries, i) => ({ entries, token_bucket: buckets[i] })),
    },
  }
  return { report: remarks.of(rule, true), filter }
}
