// The rules of a file, or of the standard input, for commands that look at them; what does not hold is told line by line.
import { text } from 'node:stream/consumers'
import { isSpillwayError } from '../../core/errors.ts'
import { readText } from '../../limit/file/load-rules.ts'
import { parseRules } from '../../limit/file/parse-rules.ts'
import type { CheckedRule } from '../../limit/rule/checked-rule.ts'
import type { Problem } from '../../limit/rule/fields.ts'
import { checkRules, problemText } from '../../limit/rule/read-rules.ts'
import { printJson } from '../output/print.ts'
import { visible } from '../output/text.ts'

/** Undefined when the file does not hold: then every problem was told, and the exit code is 1. `keys` are those that the program names beside the usual ones. */
export async function rulesOf(
  path: string,
  { keys, json }: { readonly keys: readonly string[]; readonly json: boolean | undefined },
): Promise<readonly CheckedRule[] | undefined> {
  const file = path === '-' ? '(standard input)' : path
  try {
    const rules = await parseRules(path === '-' ? await text(process.stdin) : await readText(path), file)
    return checkRules(rules, keys)
  } catch (thrown) {
    if (!isSpillwayError(thrown) || thrown.code !== 'INVALID_RULE') throw thrown
    const { problems = [] } = (thrown.details ?? {}) as { readonly problems?: readonly Problem[] }
    process.exitCode = 1
    if (json) await printJson({ problems })
    else
      process.stderr.write(`${problems.map((problem) => visible(problemText(problem, file))).join('\n')}\n`)
    return undefined
  }
}

/** For `--keys user,team`. */
export function names(value: string): string[] {
  return value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
