// npm run test:package: the package as a new user meets it. Packs it, installs it in an empty folder, imports every door,
// compiles and runs every snippet of the README and of the guide to testing, and asks the command for help.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const folder = mkdtempSync(join(tmpdir(), 'spillway-package-'))

function run(what: string, cwd: string, command: string, ...args: string[]): string {
  process.stdout.write(`${what} … `)
  try {
    const output = execFileSync(command, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 180_000,
    })
    process.stdout.write('ok\n')
    return output
  } catch (thrown) {
    const { stdout, stderr } = thrown as { stdout?: string; stderr?: string }
    process.stdout.write(`failed\n${stdout ?? ''}${stderr ?? ''}\n`)
    throw thrown
  }
}

try {
  const packed = JSON.parse(run('pack', root, 'npm', 'pack', '--json', '--pack-destination', folder)) as
    | readonly PackResult[]
    | Readonly<Record<string, PackResult>>
  const [{ filename, files }] = Object.values(packed) as [PackResult]
  const strays = files.map(({ path }) => path).filter((path) => /\.test\.|^src\/|^test\//.test(path))
  assert.deepEqual(strays, [], 'only what a user needs is packed')

  const version = (name: string) => `${name}@${manifest.devDependencies[name]}`
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
  run(
    'install',
    folder,
    'npm',
    'install',
    '--no-audit',
    '--no-fund',
    join(folder, basename(filename)),
    version('zod'),
    version('typescript'),
    version('@types/node'),
  )

  const doors = Object.keys(manifest.exports).filter((door) => !door.endsWith('.json'))
  for (const door of doors) {
    const name = door.replace('.', 'spillway')
    run(`import ${name}`, folder, process.execPath, '--input-type=module', '-e', `await import('${name}')`)
  }
  for (const [url, client] of [
    ['postgres://127.0.0.1:1/x', 'pg'],
    ['kafka://127.0.0.1:1', '@platformatic/kafka'],
  ] as const) {
    const script = `import { open } from 'spillway'; try { await open('${url}') } catch (error) { console.log(error.code, error.message) }`
    const said = run(
      `${client} is asked for by name`,
      folder,
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    )
    assert.match(said, new RegExp(`^CLIENT_MISSING .*${client}`, 's'))
  }

  mkdirSync(join(folder, 'snippets'))
  const pages = ['README.md', 'docs/guides/testing.md'].map((page) => readFileSync(join(root, page), 'utf8'))
  const snippets = readdirSync(join(root, 'docs/snippets')).filter((file) =>
    pages.some((page) => page.includes(`docs/snippets/${file}`)),
  )
  assert.ok(snippets.length >= 7, 'the README and the guide to testing have their snippets')
  for (const file of snippets) copyFileSync(join(root, 'docs/snippets', file), join(folder, 'snippets', file))
  // The service that the tests of the guide test does nothing by itself.
  for (const file of snippets.filter((each) => each !== 'testing-service.ts')) {
    assert.notEqual(
      run(`run ${file}`, folder, process.execPath, join('snippets', file)),
      '',
      `${file} says something`,
    )
  }
  const flags = [
    '--noEmit',
    '--allowImportingTsExtensions',
    '--strict',
    '--target',
    'es2024',
    '--module',
    'nodenext',
    '--lib',
    'es2024,esnext.disposable',
    '--types',
    'node',
  ]
  run(
    'compile the snippets',
    folder,
    join(folder, 'node_modules/.bin/tsc'),
    ...flags,
    ...snippets.map((file) => join('snippets', file)),
  )
  assert.match(
    run('spillway --help', folder, join(folder, 'node_modules/.bin/spillway'), '--help'),
    /spillway up/,
  )
  // With what the package itself brings: no test runner, no client of a server.
  const doctor = run(
    'spillway doctor',
    folder,
    join(folder, 'node_modules/.bin/spillway'),
    'doctor',
    'sqlite:./doctor',
    '--only',
    'queue.declare',
    'stream.declare',
    'groups.commit',
    '--json',
  )
  const { cases } = JSON.parse(doctor) as {
    readonly cases: { readonly passed: number; readonly failed: number }
  }
  assert.ok(cases.passed > 10 && cases.failed === 0, doctor)
  console.log(`\n${doors.length} doors, ${snippets.length} snippets: the package works as installed`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

interface PackResult {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}
