import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
let folder: string

const begin = `
  import { context, event, queue, service, topology, unchecked } from ${JSON.stringify(join(root, 'src/index.ts'))}
  const data = unchecked<number>()
  const orders = context('orders', { events: { placed: event({ data }) } })
  const billing = context('billing', { queues: { receipt: queue({ data }) } })
  const works = service(billing).work(billing.queues.receipt, () => {})
`
const files = {
  'sound.ts': `${begin} export default topology({ contexts: [orders, works], engine: 'sqlite:./data' })`,
  'unwired.ts': `${begin} export default topology({
    contexts: [service(billing).on(orders.events.placed, () => {})], engine: 'sqlite:./unwired'
  })`,
  'bare.ts': `${begin} export default topology({ contexts: [orders], engine: 'sqlite:./data' })`,
  'no-contexts.ts': `${begin} export default topology({ engine: 'sqlite:./data' } as never)`,
  'no-service.ts': `${begin} export default topology({ contexts: [orders, 5 as never], engine: 'sqlite:./data' })`,
  'no-engine.ts': `${begin} export default topology({ contexts: [orders] } as never)`,
  'bad-name.ts': `${begin} export default context('9 lives', {})`,
  'syntax.ts': 'export default topology({',
  'throws.ts': "throw new Error('no such variable: DB')",
  'number.ts': 'export default 5',
}

beforeAll(() => {
  // A path that has to be encoded in a URL.
  folder = join(mkdtempSync(join(tmpdir(), 'spillway-cli-')), 'my shop')
  mkdirSync(folder)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
})
afterAll(() => rmSync(resolve(folder, '..'), { recursive: true, force: true }))

function start(...args: string[]) {
  const command = [join(root, 'src/cli/main.ts'), ...args]
  return spawn(process.execPath, command, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function spillway(...args: string[]) {
  const child = start(...args)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { out, err, code: code as number | null }
}

/** Waits until the program has said it is up, ends it with SIGTERM, and says what it printed. */
async function upAndDown(...args: string[]) {
  const child = start('up', ...args)
  const err = text(child.stderr)
  let out = ''
  for await (const chunk of child.stdout) {
    out += chunk
    if (/up; stop.*\n$/.test(out)) child.kill('SIGTERM')
  }
  const code = child.exitCode ?? ((await once(child, 'exit'))[0] as number | null)
  return { out, err: await err, code }
}

test('check counts what is sound, and fails for what is not', async () => {
  expect(await spillway('check', '-c', 'sound.ts')).toEqual({
    out: '2 contexts, 1 event, 1 queue: sound\n',
    err: '',
    code: 0,
  })
  const { out, code } = await spillway('check', '-c', 'unwired.ts', '--json')
  expect(code).toBe(1)
  expect(JSON.parse(out)).toEqual({
    problems: [
      'billing handles orders.placed, which no context of this topology publishes',
      'nobody works off the queue billing.receipt: give the service of billing a work() for it',
    ],
  })
})

test.each([
  ['nowhere.ts', /^There is no nowhere\.ts in .*my shop/],
  ['.', /^There is no \. in /],
  ['number.ts', /^number\.ts does not export a topology/],
  ['syntax.ts', /^syntax\.ts could not be loaded: .*\n.*my(%20| )shop\/syntax\.ts:1\n/s],
  ['throws.ts', /^throws\.ts could not be loaded: no such variable: DB\..*file:.*throws\.ts:1:7\)?\n$/s],
  ['bad-name.ts', /"9 lives" cannot be the name of a context.*bad-name\.ts:/s],
  ['no-contexts.ts', /contexts of a topology is undefined/],
  ['no-service.ts', /contexts\[1\] of a topology is 5/],
  ['no-engine.ts', /engine of a topology is undefined/],
])('%s is refused in words, without the stack of the command', async (file, said) => {
  const { out, err, code } = await spillway('check', '-c', file)
  expect(code).toBe(1)
  expect(out).toBe('')
  expect(err).toMatch(said)
  expect(err).toMatch(/\[(CONFIGURATION|INVALID_NAME)\]/)
  expect(err).not.toMatch(/node:internal|src\/cli/)
})

test.each([
  [['--grace', 'soon'], 2, /takes seconds/],
  [['--grace', '-1'], 2, /takes seconds/],
  [['--engine', ''], 1, /names no engine/],
  [['--streams', ''], 1, /names no engine/],
  [['--engine', 'mysql://me:secret@x/db'], 1, /"mysql:\/\/…@x\/db" names no engine/],
  [['--engine', 'mysql://x/db?password=secret'], 1, /"mysql:\/\/x\/db\?…" names no engine/],
  [['--engine', 'sqlite:./there?strict=true'], 1, /`sqlite` has no parameters/],
  [['--only', 'biling'], 1, /No service of this topology implements biling; it has billing/],
  [['--only'], 2, /argument missing.*spillway up --help says more/s],
  [['--bogus'], 2, /unknown option/],
])('up %j is refused with exit code %i', async (args, code, said) => {
  const ended = await spillway('up', '-c', 'sound.ts', ...args)
  expect(ended).toMatchObject({ out: '', code })
  expect(ended.err).toMatch(said)
})

test('a topology without a service is nothing to run', async () => {
  expect(await spillway('up', '-c', 'bare.ts')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no service/),
  })
})

test('up runs until SIGTERM, also when an event is handled that nobody here publishes', async () => {
  expect(await upAndDown('-c', 'sound.ts', '--only', 'billing')).toMatchObject({
    out: expect.stringMatching(/^engine sqlite at .*fsync.*\nup; stop.*\nSIGTERM: finishing/s),
    err: '',
    code: 0,
  })
  const { err, code } = await upAndDown('-c', 'unwired.ts')
  expect(code).toBe(0)
  expect(err).toMatch(/^warning: billing handles orders\.placed, which no context/)
  expect(err).toMatch(/^warning: nobody works off the queue billing\.receipt/m)
})

test('up ends as it should when nobody reads its output any more', async () => {
  const child = start('up', '-c', 'sound.ts')
  const exited = once(child, 'exit')
  child.stderr.destroy()
  for await (const chunk of child.stdout) if (/up; stop/.test(`${chunk}`)) break
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('the version is that of the package', async () => {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } })
  expect((await spillway('--version')).out).toBe(`${manifest.version}\n`)
})
