// A process that runs a topology or a subscription lives until it is stopped, also while nothing of it waits for I/O.
import { spawn } from 'node:child_process'
import { expect, test } from 'vitest'

const imports = `
  import { open, run, topology, unchecked } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)}
  import { memory } from ${JSON.stringify(new URL('../testing/memory/engine.ts', import.meta.url).href)}
`
// On memory no socket and no thread keeps a process alive; on other engines a member without partitions is as idle.
const programs = {
  topology: "const idle = await run(topology({ contexts: [], engine: 'memory:' }), { engine: memory() })",
  subscription: `
    const spillway = await open(memory())
    const stream = await spillway.stream('rung', { data: unchecked() })
    const idle = stream.subscribe('book', () => {})`,
}

test.each(Object.entries(programs))(
  'an idle %s keeps its process alive until it is stopped',
  {
    timeout: 30_000,
  },
  async (_, program) => {
    const end = "process.stdin.once('data', () => idle.stop()).unref(); process.stdout.write('up')"
    const child = spawn(process.execPath, ['--input-type=module', '-e', [imports, program, end].join('\n')])
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        output += text
      })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    const aMoment = new Promise((resolve) => setTimeout(() => resolve('alive'), 1_000))
    await new Promise<unknown>((resolve) => child.stdout.once('data', resolve))
    expect(await Promise.race([ended, aMoment]), output).toBe('alive')
    child.stdin.write('stop')
    expect(await ended, output).toBe(0)
  },
)

test('a stop keeps the process alive, though its handler waits for nothing but its signal', async () => {
  const program = `
    const spillway = await open(memory())
    const queue = await spillway.queue('rung', { data: unchecked() })
    await queue.send(1)
    const begun = Promise.withResolvers()
    const consumer = queue.consume((_, { signal }) => {
      begun.resolve()
      return new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await begun.promise
    await consumer.stop({ deadlineMs: 100 })
    await spillway.close()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', [imports, program].join('\n')])
  let output = ''
  child.stderr.on('data', (text) => {
    output += text
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  expect(code, output).toBe(0)
})
