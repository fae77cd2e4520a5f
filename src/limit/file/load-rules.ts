// Reading a rules file whole.
import { readFile } from 'node:fs/promises'
import { asError } from '../../core/errors.ts'
import { invalidRules } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'
import { parseRules } from './parse-rules.ts'

/**
 * The rules of a file in YAML or JSON, for `limits` and `reload`, whose refusals then name file and line. Rejects with INVALID_RULE for a file that
 * cannot be read or is not well-formed.
 */
export async function loadRules(path: string): Promise<Rules> {
  return parseRules(await readText(path), path)
}

export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    const reason = `it cannot be read (${asError(thrown).message})`
    throw invalidRules([{ rule: '', field: undefined, reason }], path)
  }
}
