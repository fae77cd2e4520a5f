// The programs of the guides to the inbox and to sagas are run, each in a folder of its own.
import { expect, test } from 'vitest'
import { runSnippet } from '../run-snippet.ts'

const said = {
  'inbox-keep': '1\n0\n',
  'inbox-store': 'broker\nmails.db.inbox\nsent to ada@example.org at attempt 1\n0\n',
  saga: `reserved A
A true [] []
B false [ 'payment' ] [ 'reserved' ]
reserved B
released B
`,
}

test.each(Object.entries(said))('%s', { timeout: 60_000 }, async (name, expected) => {
  const ran = await runSnippet(name)
  expect(ran.status, ran.stderr).toBe(0)
  // What several contexts say is in no order among them.
  expect(ran.stdout.split('\n').toSorted()).toEqual(expected.split('\n').toSorted())
})
