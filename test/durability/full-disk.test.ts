// A disk that is really full, under SQLite: what was acknowledged is there afterwards, also when the process is killed while the disk is
// full; everything else is refused by name, and goes on once there is space. The disk is a tmpfs of its own in a mount namespace.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'spillway-full-'))
afterAll(() => rmSync(folder, { recursive: true }))

const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user']
const unshared = (script: string) =>
  spawnSync(
    'unshare',
    [...asRoot, '--mount', 'sh', '-ec', `mount -t tmpfs -o size=12m none '${folder}'\n${script}`],
    {
      encoding: 'utf8',
      timeout: 60_000,
    },
  )
const missing = unshared('true').status === 0 ? undefined : 'this account may mount no file system'

const engine = new URL('../../src/engines/sqlite/engine.ts', import.meta.url).href
const step = (code: string) => `${process.execPath} --input-type=module -e '
  import { rmSync, writeFileSync } from "node:fs"
  import { sqlite } from "${engine}"
  const path = "${folder}/store"
  const ballast = "${folder}/ballast"
  const body = (id) => id.padEnd(20_000, "x")
  const say = (facts) => console.log(JSON.stringify(facts))
  ${code}'`

/** Sends under rules and without until nothing fits any more, and dies. */
const fill = step(`
  writeFileSync(ballast, Buffer.alloc(8_000_000))
  const { queue } = await sqlite({ path })
  await queue.declare(["plain"])
  await queue.declare(["ruled"], { keyOrder: true })
  const kept = { plain: [], ruled: [] }
  const codes = new Set()
  for (let index = 0; index < 400; index++) {
    const name = index % 2 ? "plain" : "ruled"
    const id = "m" + index
    await queue.send(name, [{ id, key: "k" + index % 7, body: body(id) }]).then(() => kept[name].push(id), ({ code }) => codes.add(code))
  }
  say({ kept, codes: [...codes] })
  process.kill(process.pid, "SIGKILL")`)

/** Opens it anew while the disk is still full, looks, and goes on once there is space. */
const goOn = step(`
  const { queue, close } = await sqlite({ path })
  const counts = [(await queue.count("plain")).ready, (await queue.count("ruled")).ready]
  const refused = await queue.send("plain", [{ id: "more", body: body("more") }]).then(() => "taken", ({ code }) => code)
  rmSync(ballast)
  const found = { plain: [], ruled: [] }
  await queue.send("plain", [{ id: "after", body: body("after") }])
  for (const name of ["plain", "ruled"])
    for (;;) {
      const claimed = await queue.claim(name, { limit: 20, leaseMs: 60_000, waitMs: 0 })
      if (claimed.length === 0) break
      for (const message of claimed) if (message.body !== body(message.id)) throw new Error(message.id)
      await queue.settle(name, claimed.map(({ lease }) => ({ lease, kind: "done" })))
      found[name].push(...claimed.map(({ id }) => id))
    }
  say({ counts, refused, found })
  process.exit()`)

test.skipIf(missing !== undefined)(
  `nothing acknowledged is lost on a full disk${missing === undefined ? '' : `, skipped: ${missing}`}`,
  () => {
    const { stdout, stderr } = unshared(`${fill} || true\n${goOn}`)
    const [before, after] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(stderr.replace(/^Killed\n/, '')).toBe('')
    expect(before.codes).toEqual(['STORE_FULL'])
    const { plain, ruled } = before.kept
    expect(plain.length).toBeGreaterThan(10)
    expect(ruled.length).toBeGreaterThan(10)
    expect(after.counts).toEqual([plain.length, ruled.length])
    expect(after.refused).toBe('STORE_FULL')
    expect(after.found.plain).toEqual([...plain, 'after'])
    expect([...after.found.ruled].sort()).toEqual([...ruled].sort())
  },
)
