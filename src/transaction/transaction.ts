// Sending from outside a handler: the effects of a request and the messages it causes, in one transaction.
import { refuseInside, runInside } from '../core/scope.ts'
import { type Tx, Unit, type UnitHome } from './unit.ts'

/**
 * Runs `work` in one short transaction of the service's database and commits what it did together with what it published
 * and sent. Resolves with what `work` returned once all of it is durable. Rejects with what `work` threw; then nothing is
 * stored. Rejects with DIRECT_SEND inside a handler or another transaction, which it would not be a part of.
 */
export async function transaction<Db, Result>(
  home: UnitHome<Db>,
  work: (tx: Tx<Db>) => Result | PromiseLike<Result>,
): Promise<Result> {
  const name = `transaction() of ${home.context}`
  refuseInside(name)
  const unit = new Unit<Db>(home)
  await unit.commit((tx) => runInside(name, () => work(tx)))
  return unit.result as Result
}
