// Members of consumer groups in processes of their own, which a case can pause and kill.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { DistantMember } from '../../src/testing/conformance/index.ts'
import type { Order, Report } from './distant-process.ts'
import type { EngineAddress } from './engines.ts'

const program = fileURLToPath(new URL('./distant-process.ts', import.meta.url))

/** For `EngineAccess.startMember`. */
export function distantMembers(address: EngineAddress) {
  return async (stream: string, group: string, sessionMs: number): Promise<DistantMember> => {
    // Without the runner's own arguments, which the child could not load.
    const child = fork(program, { execArgv: [] })
    // A paused child does not notice that its parent is gone.
    const killChild = () => child.kill('SIGKILL')
    process.once('exit', killChild)
    const joined = Promise.withResolvers<void>()
    let results = Promise.withResolvers<readonly ('committed' | 'stale')[]>()
    let held: readonly number[] = []
    let lost: readonly number[] = []
    const fail = (message: string) => {
      const error = new Error(`the distant member failed: ${message}`)
      joined.reject(error)
      results.reject(error)
    }
    for (const { promise } of [joined, results]) promise.catch(() => {})
    child.on('message', (report: Report) => {
      if ('joined' in report) joined.resolve()
      else if ('results' in report) results.resolve(report.results)
      else if ('failed' in report) fail(report.failed)
      else ({ held, lost } = report)
    })
    child.once('exit', (code, signal) => fail(`it ended with ${code ?? signal}`))
    const order = (what: Order) => child.send(what)
    order({ join: { address, stream, group, sessionMs } })
    await joined.promise
    return {
      held: async () => held,
      lost: async () => lost,
      commit(positions) {
        results = Promise.withResolvers()
        order({ commit: positions })
        return results.promise
      },
      pause: () => void child.kill('SIGSTOP'),
      resume: () => void child.kill('SIGCONT'),
      async kill() {
        process.off('exit', killChild)
        if (child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        killChild()
        await ended
      },
    }
  }
}
