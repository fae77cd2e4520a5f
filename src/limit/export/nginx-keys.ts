// The keys of rules as variables of nginx: maps from what a request says to what its bucket is called. An empty key is not bounded.
import type { AddressOptions } from '../address/canonical.ts'
import { rangeText, readRange } from '../address/cidr.ts'
import { isRangeLike } from '../address/ranges.ts'
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { ExportOptions, Remarks } from './exported.ts'
import { exportedBounds, headerName, headerOf } from './plans.ts'
import { endpointPattern, endpointsOf } from './wish.ts'

/** Longer texts count by so many of their first letters: clients choose them, and each takes room in a zone. */
export const longestText = 100
/** Longer names of variables, with a number behind them, do not fit into nginx's table of them. */
const longestName = 40

export class NginxKeys {
  readonly #blocks = new Map<string, readonly string[]>()
  readonly #names = new Set<string>()
  /** The names of what several rules share. */
  readonly #shared = new Map<string, string>()
  readonly #options: ExportOptions

  constructor(options: ExportOptions) {
    this.#options = options
  }

  /** The definitions of everything that was asked for. */
  get lines(): readonly string[] {
    return [...this.#blocks.values()].flatMap((block) => [...block, ''])
  }

  /** A name that nothing else has, of what nginx takes in one. */
  name(...words: readonly string[]): string {
    const base = ['spillway', ...words].join('_').toLowerCase().replace(/\W/g, '_').slice(0, longestName)
    let name = base
    for (let number = 2; this.#names.has(name); number++) name = `${base}_${number}`
    this.#names.add(name)
    return name
  }

  /** One variable for each plan, smallest first; undefined when nginx cannot know the key, and why is in the remarks. */
  of(rule: CheckedRule, remarks: Remarks): readonly string[] | undefined {
    const parts = this.#parts(rule, remarks)
    const conditions = this.#conditions(rule, remarks)
    if (parts === undefined || conditions === undefined) return undefined
    const bounds = exportedBounds(rule, this.#options)
    const planOf = bounds.length > 1 ? this.#plan(rule) : undefined
    const key = parts.length === 0 ? 'all' : parts.map(({ text }) => text).join('')
    return bounds.map(({ plan }, index) => {
      const all = [
        ...conditions,
        ...(planOf === undefined ? [] : [{ variable: planOf, value: `p${index}` }]),
        ...(rule.missing === 'skip'
          ? parts.flatMap(({ has }) => (has ? [{ variable: has, value: '1' }] : []))
          : []),
      ]
      const variable = `$${this.name(rule.name, ...(plan === undefined ? [] : [plan]), 'key')}`
      const source = all.map((each) => each.variable).join(':')
      const wanted = all.map((each) => each.value).join(':')
      this.#block(variable, `map "${source}" ${variable}`, [
        all.length === 0 ? `default "${key}";` : 'default "";',
        ...(all.length === 0 ? [] : [`"${wanted}" "${key}";`]),
      ])
      return variable
    })
  }

  /** Each as a part of the key that no other part can reach into: addresses have one length, and a header has no line break. */
  #parts(
    rule: CheckedRule,
    remarks: Remarks,
  ): readonly { readonly text: string; readonly has?: string }[] | undefined {
    const addresses: { text: string }[] = []
    const texts: { text: string; has: string }[] = []
    for (const part of rule.by) {
      if (part.kind === 'address') addresses.push({ text: this.#address(part.options, remarks) })
      else {
        const header = headerVariable(part, this.#options, remarks)
        if (header === undefined) return undefined
        const variable = this.#text(header)
        const has = rule.missing === 'skip' ? this.#has(header) : ''
        texts.push({ text: `${texts.length > 0 ? '\\n' : ''}=${variable}`, has })
      }
    }
    if (texts.length > 0 && rule.missing === 'reject') {
      remarks.lost.push(
        'missing: reject: nginx bounds by a key, and refuses nobody for having none; `if ($http_…  = "") { return 429; }` in the location does',
      )
      return undefined
    }
    return [...addresses, ...texts]
  }

  #conditions(rule: CheckedRule, remarks: Remarks): { variable: string; value: string }[] | undefined {
    const found: { variable: string; value: string }[] = []
    if (rule.on !== undefined) {
      const { http, calls } = endpointsOf(rule.on)
      if (calls.length > 0)
        remarks.lost.push(`on: ${calls.join(', ')}: no endpoint of HTTP, and nginx sees no calls`)
      if (http.length === 0) return undefined
      found.push({ variable: this.#on(rule.name, http), value: '1' })
    }
    if (rule.except.length > 0)
      for (const variable of this.#excepts(rule)) found.push({ variable, value: '0' })
    return found
  }

  /** The name of what is defined once for all rules. */
  #once(words: readonly string[], define: (name: string) => void): string {
    const key = words.join(' ')
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    const name = this.name(...words)
    this.#shared.set(key, name)
    define(name)
    return name
  }

  #block(id: string, head: string, lines: readonly string[]): void {
    this.#blocks.set(id, [`${head} {`, ...lines.map((line) => `    ${line}`), '}'])
  }

  #address({ prefix6 = 64, prefix4 = 32, nat64 = [] }: AddressOptions, remarks: Remarks): string {
    const [bytes6, bytes4] = [Math.floor(prefix6 / 8), Math.floor(prefix4 / 8)]
    const told = new Set<string>()
    if (bytes6 * 8 !== prefix6)
      told.add(`IPv6 by /${bytes6 * 8}, the whole byte above /${prefix6}: more clients share a bucket`)
    if (bytes4 * 8 !== prefix4)
      told.add(`IPv4 by /${bytes4 * 8}, the whole byte above /${prefix4}: more clients share a bucket`)
    if (nat64.length > 0)
      told.add(`clients behind ${nat64.join(', ')} share the buckets of their IPv6 addresses`)
    remarks.differs.push(...told)
    const rest4 = bytes4 < 4 ? `.{${4 - bytes4}}` : ''
    const rest6 = bytes6 < 16 ? `.{${16 - bytes6}}` : ''
    const capture = (name: string) => `sw${bytes6}_${bytes4}_${name}`
    const four = (name: string, before: string) =>
      `"~(?s)^${before}(?<${capture(name)}>.{${bytes4}})${rest4}\\z" "4$${capture(name)}";`
    const id = this.#once(['address', `${bytes6 * 8}`, `${bytes4 * 8}`], (name) =>
      this.#block(name, `map $binary_remote_addr $${name}`, [
        'default "-";',
        four('plain', ''),
        `# IPv4 in IPv6: mapped, and through NAT64`,
        four('mapped', '\\x00{10}\\xff\\xff'),
        four('nat64', '\\x00\\x64\\xff\\x9b\\x00{8}'),
        `"~(?s)^(?<${capture('six')}>.{${bytes6}})${rest6}\\z" "6$${capture('six')}";`,
      ]),
    )
    return `\${${id}}`
  }

  #text(header: string): string {
    const id = this.#once(['text', header], (name) => {
      // Names in regular expressions are shorter than those of headers may be.
      const capture = `sw_${this.#shared.size}`
      this.#block(name, `map $http_${header} $${name}`, [
        'default "";',
        `"~(?s)^(?<${capture}>.{1,${longestText}})" "$${capture}";`,
      ])
    })
    return `\${${id}}`
  }

  #has(header: string): string {
    const text = this.#text(header)
    const id = this.#once(['has', header], (name) =>
      this.#block(name, `map "${text}" $${name}`, ['default 1;', '"" 0;']),
    )
    return `$${id}`
  }

  #on(rule: string, names: readonly string[]): string {
    const method = this.#once(['method'], (name) =>
      this.#block(name, `map $request_method $${name}`, ['default $request_method;', 'HEAD GET;']),
    )
    const id = this.name(rule, 'on')
    const patterns = names.map((name) => `"~*(?s)^${quoted(endpointPattern(name))}\\z" 1;`)
    this.#block(id, `map "$${method} $uri" $${id}`, ['default 0;', ...patterns])
    return `$${id}`
  }

  #plan(rule: CheckedRule): string {
    const header = variableOf(this.#options.plan!)
    const plans = rule.bounds.map(({ plan }, index) => ({ plan: plan!, index }))
    const id = this.name(rule.name, 'plan')
    this.#block(id, `map $http_${header} $${id}`, [
      'default p0;',
      ...plans.map(({ plan, index }) => `"~^${quoted(literal(plan))}\\z" p${index};`),
    ])
    return `$${id}`
  }

  #excepts(rule: CheckedRule): string[] {
    const ranges = rule.except.filter(isRangeLike)
    const variables: string[] = []
    if (rule.by.some(({ kind }) => kind === 'address') && ranges.length > 0) {
      const id = this.name(rule.name, 'except')
      // nginx looks for an IPv4 address in ranges that are written as such.
      this.#block(id, `geo $${id}`, [
        'default 0;',
        ...ranges.map((range) => `${rangeText(readRange(range, 'except'))} 1;`),
      ])
      variables.push(`$${id}`)
    }
    for (const part of rule.by) {
      const header = part.kind === 'address' ? undefined : headerName(part, this.#options)
      if (header === undefined) continue
      const id = this.name(rule.name, 'except')
      const names = rule.except.map((each) => `"~^${quoted(literal(each))}\\z" 1;`)
      this.#block(id, `map $http_${variableOf(header)} $${id}`, ['default 0;', ...names])
      variables.push(`$${id}`)
    }
    return variables
  }
}

/** As a variable's name has it. */
function headerVariable(
  part: CheckedRule['by'][number],
  options: ExportOptions,
  remarks: Remarks,
): string | undefined {
  const header = headerOf(part, options, 'nginx', remarks)
  if (header === undefined || /^[a-z0-9-]+$/i.test(header)) return header && variableOf(header)
  remarks.lost.push(`by header ${header}: nginx passes over headers with such names`)
  return undefined
}

export function variableOf(header: string): string {
  return header.toLowerCase().replaceAll('-', '_')
}

/** For a regular expression. */
function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** In double quotes nginx takes \\ for one, and \" for a quote. */
function quoted(pattern: string): string {
  return pattern.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
