// Which rules hold for several processes: INVALID_RULE for those that do not.
import type { CheckedRule } from '../rule/checked-rule.ts'
import type { Problem } from '../rule/fields.ts'
import { refusalOf } from '../rule/read-rules.ts'
import type { Rules } from '../rule/rule.ts'

export function checkShareable(rules: Rules, checked: readonly CheckedRule[]): void {
  const problems = checked.flatMap(({ name, ban }): Problem[] =>
    ban === undefined
      ? []
      : [
          {
            rule: name,
            field: 'ban',
            reason: 'bans are kept in one process; put the rule in limits({ rules })',
          },
        ],
  )
  if (problems.length > 0) throw refusalOf(rules, problems)
}
