// Knowing that code runs inside a handler or a transaction, so that a message sent past it is refused.
import { AsyncLocalStorage } from 'node:async_hooks'
import { SpillwayError } from './errors.ts'

const scope = new AsyncLocalStorage<string>()

/** Runs `work` as the inside of `name` ('the handler of orders.placed'). */
export function runInside<T>(name: string, work: () => T): T {
  return scope.run(name, work)
}

/** Throws DIRECT_SEND when called inside a handler or transaction; `what` is the act that was tried, `remedy` what to do instead. */
export function refuseInside(what: string, remedy?: string): void {
  const name = scope.getStore()
  if (name === undefined) return
  const options = remedy === undefined ? {} : { remedy }
  throw new SpillwayError('DIRECT_SEND', `${what} was called directly inside ${name}.`, options)
}
