// The programs of this guide are run, each in a folder of its own.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

const said = {
  'stream-aggregate': '2 of 3 withdrawals went through\n',
  'stream-read': '0 11.5\n1 30.25\n2 12\nsum 53.75\ntail 30.25\ntail 12\ntail 40\n',
  'stream-group': '1 no such temperature\n[ 11.5, 12, -999, 11.5, -999, 12 ]\n',
  'stream-producer':
    'cellar 11.5 appended\nroof 30.25 appended\ncellar 11.5 duplicate\nroof 30.25 duplicate\ncellar 12 appended\n',
  'stream-retain': `[ 12 ]
{ stream: 'readings', key: 'cellar', earliest: 3 }
version 3
`,
  'stream-compact': "Map(1) { 'lamp' => 3900 }\n",
  'stream-parking':
    /^billed bob 30\nparked ada .*no address.*\nparked ada .*\nbilled ada 10\nbilled ada 20\n$/,
}

test.each(Object.entries(said))('%s', { timeout: 30_000 }, async (name, expected) => {
  const ran = await runSnippet(name, { timeoutMs: 20_000 })
  expect(ran.status, ran.stderr).toBe(0)
  if (typeof expected === 'string') expect(ran.stdout).toBe(expected)
  else expect(ran.stdout).toMatch(expected)
})
