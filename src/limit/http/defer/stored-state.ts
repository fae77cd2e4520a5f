// The state of a deferred request as a row of a database.
import type { DeferredResult, DeferredState } from '../../defer.ts'

export interface DeferRow {
  readonly id: string
  readonly owner: string
  readonly fingerprint: string
  readonly status: DeferredState['status']
  /** JSON. */
  readonly result: string | null
  /** A text where the client gives large numbers as such. */
  readonly expires_ms: number | bigint | string
}

export function stateOf({ id, owner, fingerprint, status, result, expires_ms }: DeferRow): DeferredState {
  const known: DeferredResult | undefined = result === null ? undefined : JSON.parse(result)
  return { id, owner, fingerprint, status, expiresAt: Number(expires_ms), result: known }
}
