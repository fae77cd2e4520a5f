// Sending from outside a handler: the effects of a request and the messages it causes, in one transaction.
import { runInside } from '../core/scope.ts'
import { type Tx, Unit, type UnitHome } from './unit.ts'

/**
 * Runs `work` in one short transaction of the service's database and commits what it did together with what it published
 * and sent. Resolves with what `work` returned once all of it is durable. Rejects with what `work` threw; then nothing is stored.
 */
export async function transaction<Db, Result>(
  home: UnitHome<Db>,
  work: (tx: Tx<Db>) => Result | Promise<Result>,
): Promise<Result> {
  const unit = new Unit<Db>(home)
  let result: { readonly value: Result } | undefined
  const keep = (value: Result): void => {
    result = { value }
  }
  await unit.commit((tx) => {
    const returned = runInside(`transaction() of ${home.context}`, () => work(tx))
    if (returned instanceof Promise) return returned.then(keep)
    return keep(returned)
  })
  return result!.value
}
