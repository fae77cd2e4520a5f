import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'

const main = resolve(import.meta.dirname, '../main.ts')
let folder: string

/** Two of a second, twenty times in half a minute each; one who asks slowly; one broken line. */
const lines = [
  ...Array.from({ length: 40 }, (_, index) => ({ time: 1_000 + Math.floor(index / 2) * 30, user: 'busy' })),
  ...Array.from({ length: 9 }, (_, index) => ({ time: 1_000 + index * 60, user: 'slow', cost: 0.5 })),
].map((line) => JSON.stringify(line))

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-tune-test-'))
  writeFileSync(join(folder, 'log.jsonl'), `${lines.join('\n')}\n{"time":\n`)
  writeFileSync(join(folder, 'half.gz'), gzipSync(lines.slice(0, 20).join('\n')))
  writeFileSync(join(folder, 'rest.jsonl'), lines.slice(20).join('\n'))
  writeFileSync(join(folder, 'cut.gz'), gzipSync(lines.join('\n')).subarray(0, -9))
  writeFileSync(join(folder, 'words.txt'), 'no log\n')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(input: string, ...args: string[]) {
  const child = spawn(process.execPath, [main, 'limits', 'tune', ...args], { cwd: folder })
  child.stdin.end(input)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { out, err, code: code as number | null }
}

test('--json has the exact curve, the capacities that were asked for, and what was read', async () => {
  const { out, err, code } = await run('', 'log.jsonl', '--key', 'user', '--at', '0,0.05,1', '--json')
  expect([err, code]).toEqual(['', 0])
  expect(JSON.parse(out)).toMatchObject({
    requests: 49,
    keys: 2,
    brokenLines: 1,
    broken: [{ log: 'log.jsonl', line: 50, reason: 'no JSON' }],
    busiest: { key: 'busy', requests: 40, cost: 40 },
    curve: [
      { ratePerSecond: 0, capacity: 40 },
      { ratePerSecond: 38 / 570, capacity: 2 },
    ],
    at: [
      { ratePerSecond: 0, capacity: 40 },
      { ratePerSecond: 0.05, capacity: 11.5 },
      { ratePerSecond: 1, capacity: 2 },
    ],
  })
})

test('all traffic together, from several logs or the standard input, is the same', async () => {
  const args = ['--key', 'global', '--json']
  const [together, apart, piped] = await Promise.all([
    run('', 'log.jsonl', ...args),
    run('', 'half.gz', 'rest.jsonl', ...args),
    run(lines.join('\n'), '-', ...args),
  ])
  const { curve } = JSON.parse(together.out)
  expect(curve[0]).toEqual({ ratePerSecond: 0, capacity: 44.5 })
  expect(curve.at(-1).capacity).toBe(2.5)
  expect([JSON.parse(apart.out).requests, JSON.parse(apart.out).curve]).toEqual([50 - 1, curve])
  expect(JSON.parse(piped.out).curve).toEqual(curve)
})

test('people get tables, and a page with them', async () => {
  const { out, code } = await run('', 'log.jsonl', '--key', 'user', '--html', 'page.html')
  expect(code).toBe(0)
  expect(out).toContain(
    '49 requests of 2 keys (by user), 1970-01-01 00:16:40 to 1970-01-01 00:26:10 UTC (9m 30s)',
  )
  expect(out).toContain('1 broken line not computed with\n  log.jsonl:50: no JSON\n')
  expect(out).toMatch(/busiest key, busy \(40 requests, cost 40\)/)
  expect(out).toMatch(/^Recommended: capacity \d+, refill \d+ per \w+$/m)
  expect(out).toMatch(/^ {2}tuned: \{ capacity: \d+, refill: \d+, per: \w+, by: user, shadow: true \}$/m)
  expect(out).toMatch(/^! Too thin: 2 keys/m)
  expect(out).toMatch(/\nDrawn in page\.html\n$/)
  expect(readFileSync(join(folder, 'page.html'), 'utf8')).toContain('</html>')
  expect(out).toMatch(/^! Too thin: less than two days/m)
})

test('what comes again is told, and what the service has to take; labels make a table', async () => {
  const again = Array.from({ length: 6 }, (_, index) =>
    JSON.stringify({
      time: 1_000 + index * 10,
      user: index < 2 ? 'a' : `u${index}`,
      status: index === 0 ? 429 : 200,
      id: index > 3 ? 'same' : `${index}`,
      kind: index < 2 ? 'abusive' : 'honest',
    }),
  ).join('\n')
  const { out, code } = await run(again, '-', '--key', 'global', '--label', 'kind', '--html', 'labels.html')
  expect(code).toBe(0)
  expect(out).toContain('1 request that came again after a 429, which are the same, not computed with')
  const title = 'What the service has to take, of all keys together'
  expect(out).toMatch(new RegExp(`${title}\n *IN ONE .*\n *second +1 +1 +1 +[\\d.]+\n *minute +1 +4 `))
  const labelled = await run(again, '-', '--key', 'user', '--label', 'kind', '--keep-retries')
  expect(labelled.out).toContain('Abuse (1 key labelled) against 4 honest keys; first the recommendation')
  const page = readFileSync(join(folder, 'labels.html'), 'utf8')
  expect(page).toContain(`<h2>${title}</h2>`)
  const same = await run(again, '-', '--key', 'global', '--id', 'id', '--json')
  expect(JSON.parse(same.out)).toMatchObject({ requests: 5, retries: { sameId: 1, afterRefusal: 0 } })
  expect((await run(again, '-', '--key', 'user', '--label', 'none')).err).toContain('--label none')
})

test('a named pipe is read', async () => {
  execFileSync('mkfifo', [join(folder, 'pipe')])
  const reading = run('', 'pipe', '--key', 'global', '--json')
  const writing = await open(join(folder, 'pipe'), 'w')
  await writing.writeFile(lines.join('\n'))
  await writing.close()
  expect(JSON.parse((await reading).out)).toMatchObject({ requests: 49 })
})

test.concurrent.each([
  [['nowhere.log'], 1, /nowhere\.log cannot be read: ENOENT/],
  [['cut.gz'], 1, /cut\.gz cannot be read to its end.*Nothing was computed/],
  [['words.txt'], 1, /None of 1 lines could be read: words\.txt:1: no address/],
  [['log.jsonl', '--at', 'fast'], 2, /rates a second/],
  [['log.jsonl', '--honest', '101%'], 2, /share of the keys/],
  [['log.jsonl', '--html', 'nowhere/page.html'], 2, /there is no folder for it/],
  [['-', '-'], 2, /once only/],
])('%j is refused', async ([...args], code, said) => {
  const ended = await run('', ...args)
  expect(ended).toMatchObject({ out: '', code })
  expect(ended.err).toMatch(said)
})
