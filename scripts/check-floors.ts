// Holds the drawing in ARCHITECTURE.md: fails on an import against the floors, on a circle, and on a client library
// that is mentioned outside its engine. Tests may import what they test. Usage: check-floors [folder of the sources]
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

/** From the ground up. A folder imports from floors below it, never from its neighbour on the same floor. */
const floors = [
  ['core'],
  ['ports'],
  ['queue', 'stream', 'limit'],
  ['transaction'],
  ['call', 'saga'],
  ['pointer'],
  ['engine-of.ts'],
  ['topology', 'spillway.ts'],
  ['cli', 'index.ts', 'testing/services'],
]
/** Beside the floors: these see core and ports only, and each other only where it is said. */
const besides = ['engines', 'testing']
/** The only files that may import an engine. */
const openers = ['engine-of.ts']
/** Client libraries, each with the one folder that may mention it. */
const clients: Readonly<Record<string, string>> = {
  pg: 'engines/postgres',
  '@platformatic/kafka': 'engines/kafka',
  '@nats-io/transport-node': 'engines/nats',
  '@redis/client': 'engines/redis',
  'node:sqlite': 'engines/sqlite',
  undici: 'call/client',
  yaml: 'limit/file',
  '@opentelemetry/sdk-metrics': 'cli',
  '@opentelemetry/exporter-prometheus': 'cli',
}

const statement =
  /^(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/gm

export function checkFloors(root: string): string[] {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => file.replaceAll('\\', '/'))
  const imports = new Map(files.map((file) => [file, importsOf(root, file)]))
  const problems: string[] = []
  for (const [file, targets] of imports)
    for (const target of targets) {
      const problem = judge(file, target)
      if (problem) problems.push(problem)
    }
  return [...problems, ...circles(imports)]
}

function importsOf(root: string, file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(statement)]
    .map((match) => match[1] ?? match[2] ?? match[3]!)
    .map((target) =>
      target.startsWith('.')
        ? relative(root, resolve(root, dirname(file), target)).replaceAll('\\', '/')
        : target,
    )
}

function judge(file: string, target: string): string | undefined {
  const owner = clients[target]
  if (owner !== undefined) {
    return file.startsWith(`${owner}/`)
      ? undefined
      : `${file} mentions the client library ${target}, which belongs to ${owner}`
  }
  if (!target.endsWith('.ts') || target.startsWith('..')) return undefined
  const from = unit(file)
  const to = unit(target)
  if (from === to) return undefined
  if (to.startsWith('engines/'))
    return openers.includes(file) ? undefined : `${file} imports the engine file ${target}`
  // The door of `spillway/testing`, and what stands on the top floor behind it.
  if (file === 'testing/index.ts' && to === 'testing/services') return undefined
  if (from === 'testing/services' && to === 'testing') return undefined
  if (from !== 'testing/services' && besides.some((name) => from === name || from.startsWith(`${name}/`)))
    return to === 'core' || to === 'ports'
      ? undefined
      : `${file} imports ${target}; ${from} sees core and ports only`
  // The doctor runs the conformance suites.
  if (to === 'testing' && file.startsWith('cli/doctor/')) return undefined
  if (to === 'testing' || to === 'testing/services')
    return `${file} imports ${target}; only tests and the doctor see testing`
  const [low, high] = [floorOf(to), floorOf(from)]
  if (low === undefined || high === undefined)
    return `${low === undefined ? target : file} stands on no floor: add it to scripts/check-floors.ts`
  if (low < high) return undefined
  return `${file} imports ${target}: ${to} is ${low === high ? 'its neighbour' : 'a floor above it'}`
}

/** The folder that a rule speaks of: one engine is a folder of its own, and so is what tests whole services. */
function unit(file: string): string {
  const [first = '', second = ''] = file.split('/')
  if (first === 'engines') return `engines/${second}`
  return first === 'testing' && second === 'services' ? 'testing/services' : first
}

function floorOf(name: string): number | undefined {
  const index = floors.findIndex((floor) => floor.includes(name))
  return index < 0 ? undefined : index
}

function circles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file)
    if (start >= 0) {
      found.push(`circle: ${[...path.slice(start), file].join(' → ')}`)
      return
    }
    if (done.has(file)) return
    for (const target of imports.get(file) ?? []) if (imports.has(target)) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) visit(file, [])
  return found
}

if (import.meta.main) {
  const problems = checkFloors(process.argv[2] ?? 'src')
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exit(1)
  console.log('floors: every import goes down')
}
