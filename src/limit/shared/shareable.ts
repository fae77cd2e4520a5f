// Which rules hold for several processes: INVALID_RULE for those that do not.
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { Problem } from '../rule/fields.ts'
import { refusalOf } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'

export function checkShareable(rules: Rules, checked: readonly CheckedRule[]): readonly CheckedRule[] {
  const problems = checked
    .filter(({ adaptive }) => adaptive !== undefined)
    .map(
      ({ name }): Problem => ({
        rule: name,
        field: 'atOnce',
        reason:
          'adaptive goes by the latency that one process measures, and a number of all would be measured by none; put the rule in limits({ rules }) of each process',
      }),
    )
  if (problems.length > 0) throw refusalOf(rules, problems)
  return checked
}
