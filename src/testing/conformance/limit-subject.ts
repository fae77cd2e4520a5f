// What the cases of the limit port are run against: shared buckets, seen through two handles as two processes see them.
import type { LimitPort } from '../../ports/limit.ts'
import type { Subject } from './case.ts'

export interface OpenLimit {
  readonly limit: LimitPort
  close(): Promise<void>
}

/** How the one who certifies a store lets the cases at it. */
export interface LimitAccess {
  /** Opens another, independent handle on the same buckets, as another process would. */
  open(): Promise<OpenLimit>
}

export interface LimitSubject extends Subject {
  readonly one: LimitPort
  readonly two: LimitPort
  readonly access: LimitAccess
  close(): Promise<void>
}

export async function limitSubject(access: LimitAccess): Promise<LimitSubject> {
  const [one, two] = [await access.open(), await access.open()]
  return {
    one: one.limit,
    two: two.limit,
    access,
    lacks: (need) =>
      need === 'one clock' && one.limit.severalClocks
        ? 'requests over several buckets are decided by several nodes, at times of their own'
        : undefined,
    async close() {
      await Promise.all([one.close(), two.close()])
    },
  }
}
