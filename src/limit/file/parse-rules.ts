// From the text of a rules file to rules that know their lines. YAML 1.2, and so JSON too.
import { describe } from '../../core/errors.ts'
import type { Problem } from '../rule/fields.ts'
import { invalidRules } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'
import { rememberSource } from '../rule/source.ts'

/** A longer text is no rules file. */
const mostCharacters = 1_000_000

/**
 * Throws INVALID_RULE with file and line for what is no well-formed file with `rules`. Whether the rules can hold is checked by who puts them in
 * force (`limits`, `reload`), with these lines.
 */
export async function parseRules(text: string, file: string): Promise<Rules> {
  const refuse = (reason: string, line?: number) => invalidRules([problem(reason, line)], file)
  if (text.length > mostCharacters)
    throw refuse(`it has ${text.length} characters; a rules file has a million at most`)
  // Who writes his rules in code need not load it.
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true })
  if (document.errors.length > 0) {
    const found = document.errors.map(({ message, pos }) => problem(message, lines.linePos(pos[0]).line))
    throw invalidRules(found, file)
  }
  const root = document.contents
  if (!isMap(root) || !root.has('rules'))
    throw refuse('it has no `rules`; write `rules:` with a rule under each name')
  const stray = root.items.find(({ key }) => !isScalar(key) || key.value !== 'rules')
  if (stray !== undefined)
    throw refuse(
      `${describe(isScalar(stray.key) ? stray.key.value : stray.key)} stands beside \`rules\`; a rules file has nothing else`,
      lineOfNode(stray.key),
    )
  function lineOfNode(node: unknown): number | undefined {
    const range = (node as { readonly range?: readonly number[] | null } | null)?.range
    return range ? lines.linePos(range[0]!).line : undefined
  }
  let content: { readonly rules: unknown }
  try {
    content = document.toJS({ maxAliasCount: 100 })
  } catch (thrown) {
    throw refuse((thrown as Error).message)
  }
  if (typeof content.rules !== 'object' || content.rules === null || Array.isArray(content.rules))
    throw refuse(`\`rules\` is ${describe(content.rules)}; write a rule under each name, or {} for none`, 1)
  const rules = content.rules as Rules
  const all = root.get('rules')
  const keyNode = (map: unknown, name: string): unknown =>
    isMap(map) ? map.items.find(({ key }) => isScalar(key) && key.value === name)?.key : undefined
  rememberSource(rules, {
    file,
    lineOf(rule, field) {
      const ofRule = keyNode(all, rule)
      const ofField = field === undefined || !isMap(all) ? undefined : keyNode(all.get(rule), field)
      return lineOfNode(ofField) ?? lineOfNode(ofRule)
    },
  })
  return rules
}

function problem(reason: string, line: number | undefined): Problem {
  return { rule: '', field: undefined, reason, ...(line === undefined ? {} : { line }) }
}
