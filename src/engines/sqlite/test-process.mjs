// A process of its own for the tests of this folder: `test-process.mjs <what> <folder>`. Plain JavaScript, so that it is
// not built into the package.
import { sqlite } from './engine.ts'

const [what, path] = process.argv.slice(2)
const engine = await sqlite({ path })
const queue = engine.queue
if (what !== 'idle') await queue.declare(['jobs'])

switch (what) {
  /** Opens, declares, closes. */
  case 'declare':
    await engine.close()
    break
  /** Sends a message for each order of its parent. */
  case 'send':
    process.on('message', async (id) => {
      await queue.send('jobs', [{ id, body: '{}' }])
      process.send(id)
    })
    process.on('disconnect', () => process.exit())
    process.send('ready')
    break
  /** Leaves the engine open and does nothing. */
  case 'idle':
    process.send('ready')
    process.disconnect()
    break
  /** Waits for a message that comes later, and ends when it has it. */
  case 'wait': {
    const claim = queue.claim('jobs', { limit: 1, leaseMs: 10_000, waitMs: 60_000 })
    process.send('ready')
    process.disconnect()
    process.exitCode = 1
    const found = await claim
    process.exitCode = found.length === 1 ? 0 : 1
    break
  }
}
