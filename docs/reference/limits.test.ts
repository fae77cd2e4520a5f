// The page of all fields and options of limits leaves none out.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const page = readFileSync('docs/reference/limits.md', 'utf8')

test.each([
  [
    'rule/rule.ts',
    ['RuleOptions', 'BanOptions', 'BucketRule', 'AtMostRule', 'PaceRule', 'AtOnceRule', 'AdaptiveRule'],
  ],
  ['limits.ts', ['LimitsOptions']],
  ['shared/shared-limits-api.ts', ['SharedLimitsOptions']],
  ['subject.ts', ['Subject']],
  ['address/canonical.ts', ['AddressOptions']],
  ['file/watch-rules.ts', ['WatchRulesOptions']],
  ['http/door/request-subject.ts', ['SubjectOptions']],
  ['http/door/door.ts', ['DoorOptions']],
  ['http/door/fastify.ts', ['FastifyDoorOptions']],
  ['http/defer/deferral.ts', ['DeferralOptions']],
  ['http/client/back-off.ts', ['BackOffOptions']],
])('%s: %j', (file, interfaces) => {
  const source = readFileSync(`src/limit/${file}`, 'utf8')
  for (const name of interfaces) {
    const [, members] = new RegExp(`interface ${name}\\b[^{]*\\{\\n([\\s\\S]*?)\\n\\}`).exec(source) ?? []
    const fields = [...members!.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field]) => field!)
    expect(fields.length).toBeGreaterThan(0)
    expect(
      fields.filter((field) => !new RegExp(`\\b${field}\\b`).test(page.match(/`[^`]*`/g)!.join(' '))),
    ).toEqual([])
  }
})
