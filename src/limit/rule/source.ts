// Where rules were written: rules that came from a file remember it, so that a refusal names the line.
import type { Rules } from './rule.ts'

export interface Source {
  readonly file: string
  /** Of a rule, or of a field of it; undefined for what is not in the file. */
  lineOf(rule: string, field: string | undefined): number | undefined
}

const sources = new WeakMap<Rules, Source>()

export function rememberSource(rules: Rules, source: Source): void {
  sources.set(rules, source)
}

export function sourceOf(rules: Rules): Source | undefined {
  return sources.get(rules)
}
