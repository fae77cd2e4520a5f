// Rules in the language of nginx: limit_req, which is a token bucket, and limit_conn.
import type { CheckedRule } from '../rule/checked-rule.ts'
import { periodText } from '../rule/period.ts'
import {
  comment,
  type ExportedRule,
  type Exporter,
  type ExportOptions,
  notHeld,
  Remarks,
  ruleComments,
} from './exported.ts'
import { longestText, NginxKeys } from './nginx-keys.ts'
import { nginxBucket } from './nginx-rate.ts'
import { exportedBounds, remarkPlans } from './plans.ts'
import { type Wish, wishOf } from './wish.ts'

/** A state takes 128 bytes, and 256 with a long key: room for some 80,000 or 40,000. */
const zoneForKeys = '10m'
const zoneForAll = '64k'
/** limit_conn takes no more. */
const mostAtOnce = 65_535

const general = [
  'Bounds are those of one nginx, all its workers together: two of them allow twice as much. They begin anew when nginx is started, not when it is reloaded.',
  'A zone has room for some 40,000 to 80,000 keys. limit_req forgets the one that was asked longest ago when there are more, and that one begins anew; limit_conn refuses then.',
  'Where a request is bound by several limit_req, one of them refuses and none has counted it; but with several worker_processes each may let through one more in the same moment: as many more as there are workers, less one.',
  'limit_conn is asked after limit_req: what it refuses was counted there.',
  'Each request counts as one, by the milliseconds in which nginx took it up. Who is refused reads 429, without Retry-After and RateLimit.',
  'Clients are who connects ($binary_remote_addr). Behind proxies set set_real_ip_from and real_ip_header. Headers that say who somebody is have to be set by what authenticates, never by clients.',
  `Of a header ${longestText} bytes count: who differ behind them share a bucket. Let what authenticates write something short.`,
  'Endpoints are matched by $uri: where `rewrite` changes it before, write `on` of the rule as it is then.',
  'What nginx answers itself by `return` is not bounded. A location with a limit_req or limit_conn of its own has none of these.',
]

interface Translated {
  readonly report: ExportedRule
  readonly zones: readonly string[]
  /** What puts it in force, by the module that does. */
  readonly limits: { readonly req: readonly string[]; readonly conn: readonly string[] }
}

/** A fragment for the http block. Pure: it depends on nothing but the rules and the options. */
export const toNginx: Exporter = (rules, options) => {
  const keys = new NginxKeys(options)
  const modules = rules.map((rule) => (rule.perUs === undefined ? 'conn' : 'req'))
  const isEnforced = (module: string) => rules.some(({ shadow }, i) => modules[i] === module && !shadow)
  const translated = rules.map((rule, i) => {
    const remarks = new Remarks()
    if (rule.shadow && isEnforced(modules[i]!))
      remarks.lost.push(
        `shadow: nginx tries out all of limit_${modules[i]} or none (limit_${modules[i]}_dry_run), and other rules are in force`,
      )
    return remarks.lost.length > 0 ? nothing(rule, remarks) : translate(rule, options, keys, remarks)
  })
  const reports = translated.map(({ report }) => report)
  return { text: fragment(translated, keys, modules, rules), rules: reports, general }
}

function nothing(rule: CheckedRule, remarks: Remarks): Translated {
  return { report: remarks.of(rule, false), zones: [], limits: { req: [], conn: [] } }
}

function translate(rule: CheckedRule, options: ExportOptions, keys: NginxKeys, remarks: Remarks): Translated {
  const wishes: Wish[] = []
  for (const bound of exportedBounds(rule, options)) {
    const wish = wishOf(rule, bound)
    if (typeof wish === 'string') {
      remarks.lost.push(wish)
      return nothing(rule, remarks)
    }
    wishes.push(wish)
  }
  const found = wishes.map((wish) => directivesOf(rule, wish, remarks))
  if (found.some((each) => each === undefined)) return nothing(rule, remarks)
  const variables = keys.of(rule, remarks)
  if (variables === undefined) return nothing(rule, remarks)
  remarkPlans(rule, options, 'nginx', remarks)
  if (rule.ban !== undefined) remarks.lost.push('ban: nginx bans nobody; what is too much is refused')
  const zones: string[] = []
  const limits = { req: [] as string[], conn: [] as string[] }
  for (const [i, { module, rate, rest }] of (found as readonly Directives[]).entries()) {
    const { plan } = wishes[i]!
    const zone = keys.name(rule.name, ...(plan === undefined ? [] : [plan]))
    const size = rule.by.length === 0 ? zoneForAll : zoneForKeys
    zones.push(`limit_${module}_zone ${variables[i]} zone=${zone}:${size}${rate};`)
    limits[module].push(module === 'req' ? `limit_req zone=${zone}${rest};` : `limit_conn ${zone} ${rest};`)
  }
  return { report: remarks.of(rule, true), zones, limits }
}

interface Directives {
  readonly module: 'req' | 'conn'
  readonly rate: string
  readonly rest: string
}

function directivesOf(rule: CheckedRule, wish: Wish, remarks: Remarks): Directives | undefined {
  const { plan, ruleMost } = wish
  if (rule.over === 'defer') remarks.lost.push('over: defer: nginx has no queue; what is too much is refused')
  if (wish.kind === 'atOnce') {
    if (rule.over === 'wait')
      remarks.lost.push('over: wait: limit_conn has no line; what is too much is refused')
    const most = Math.min(wish.limit, mostAtOnce)
    remarks.bounds.push({ plan, windowMs: undefined, most, ruleMost })
    return { module: 'conn', rate: '', rest: `${most}` }
  }
  const waits = rule.over === 'wait'
  const bucket = nginxBucket(wish, waits)
  if (bucket === undefined) {
    const slowest = 'the slowest that nginx refills is one a minute (1r/m)'
    remarks.lost.push(
      `${wish.kind === 'bucket' ? 'its refill' : `${wish.limit} per ${periodText(wish.windowMs * 1_000)}`} is too slow: ${slowest}`,
    )
    return undefined
  }
  const { rate, capacity, most } = bucket
  remarks.bounds.push({ plan, windowMs: wish.windowMs, most, ruleMost })
  const line = waits ? Math.min(rule.line, Math.floor((rule.longestWaitMs * rate.milli) / 1_000_000)) : 0
  remarkBucket(wish, capacity, rate.milli, remarks)
  if (waits)
    remarks.differs.push(
      `at most ${line} wait for each key; nginx lets them go by a timer, so after a stall several may go together`,
    )
  const burst = capacity - 1 + line
  const delay = waits ? (line > 0 && capacity > 1 ? ` delay=${capacity - 1}` : '') : ' nodelay'
  return {
    module: 'req',
    rate: ` rate=${rate.text}`,
    rest: burst === 0 ? '' : ` burst=${burst}${line === 0 ? ' nodelay' : delay}`,
  }
}

function remarkBucket(
  wish: Exclude<Wish, { kind: 'atOnce' }>,
  capacity: number,
  milli: number,
  remarks: Remarks,
): void {
  const lasting = (milli * wish.windowMs) / 1_000_000
  const rounded = Number(lasting.toPrecision(3))
  const period = periodText(wish.windowMs * 1_000)
  const plan = wish.plan === undefined ? '' : `plan ${wish.plan}: `
  if (wish.kind === 'bucket') {
    const wished = (wish.tokens * wish.windowMs * 1_000) / wish.us
    if (lasting < wished)
      remarks.differs.push(
        `${plan}refills ${rounded} per ${period} where the rule says ${Number(wished.toPrecision(3))}`,
      )
    return
  }
  if (wish.kind === 'atMost')
    remarks.differs.push(
      `${plan}a bucket of ${capacity}, refilled by ${rounded} per ${period}, since nginx keeps no times of requests: who takes ${capacity} at once waits for more sooner than by the rule, and never gets more`,
    )
  else if (lasting < wish.limit)
    remarks.differs.push(`${plan}one after the other, ${rounded} per ${period}, so that no window has more`)
}

function fragment(
  translated: readonly Translated[],
  keys: NginxKeys,
  modules: readonly string[],
  rules: readonly CheckedRule[],
): string {
  const held = translated.filter(({ zones }) => zones.length > 0)
  const head = [
    ...comment(
      'Rate limits by Spillway (spillway limits export --to nginx). Include it in the http block; to bound some servers',
    ),
    ...comment(
      'or locations only, move its last part, which puts the limits in force, into them. For nginx 1.17.6 and later.',
    ),
    '#',
    ...general.flatMap((line) => comment(`- ${line}`)),
  ]
  const dry = ['req', 'conn'].filter((module) =>
    held.some(({ report }) =>
      rules.some(({ name, shadow }, i) => name === report.rule && shadow && modules[i] === module),
    ),
  )
  const used = (['req', 'conn'] as const).filter((module) =>
    held.some(({ limits }) => limits[module].length > 0),
  )
  return [
    ...head,
    ...notHeld(translated.map(({ report }) => report)),
    '',
    ...(keys.lines.length > 0 ? ['# ---- Who asks for what', '', ...keys.lines] : []),
    ...held.flatMap(({ report, zones }) => [
      `# ---- Rule ${report.rule}`,
      ...ruleComments(report, rules.find(({ name }) => name === report.rule)!),
      ...zones,
      '',
    ]),
    ...(held.length > 0 ? ['# ---- In force'] : ['# Nothing is held.']),
    ...held.flatMap(({ limits }) => [...limits.req, ...limits.conn]),
    ...used.map((module) => `limit_${module}_status 429;`),
    ...dry.map((module) => `limit_${module}_dry_run on; # in shadow: it is logged, and nothing is refused`),
    '',
  ].join('\n')
}
