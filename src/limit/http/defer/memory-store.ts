// What became of deferred requests, in the memory of this process: for tests, and where nobody minds that a restart forgets.
import type { DeferBounds, DeferredResult, DeferredState, DeferStore } from '../../defer.ts'

interface Kept {
  state: DeferredState
  readonly keepUntil: number
  /** Somebody has asked for it again. */
  joined: boolean
}

/** Keeps at most so many, whatever became of them (default 100,000); beyond that nothing is deferred. */
export function memoryDeferStore({ most = 100_000 }: { readonly most?: number } = {}): DeferStore {
  return new MemoryStore(most)
}

class MemoryStore implements DeferStore {
  readonly #most: number
  /** In the order in which they came, so roughly in that in which they are forgotten. */
  readonly #kept = new Map<string, Kept>()
  /** Queued, by owner, each with its end. */
  readonly #queued = new Map<string, Map<string, number>>()

  constructor(most: number) {
    this.#most = most
  }

  async begin(
    state: DeferredState,
    { depth, perOwner, keepUntil }: DeferBounds,
    nowMs: number,
  ): Promise<DeferredState | 'new' | 'full'> {
    this.#sweep(nowMs)
    const known = this.#kept.get(state.id)
    if (known) {
      known.joined = true
      return known.state
    }
    let all = 0
    for (const ids of this.#queued.values()) all += ids.size
    const own = this.#queued.get(state.owner)
    if (all >= depth || (own?.size ?? 0) >= perOwner || this.#kept.size >= this.#most) return 'full'
    this.#kept.set(state.id, { state, keepUntil, joined: false })
    if (own) own.set(state.id, state.expiresAt)
    else this.#queued.set(state.owner, new Map([[state.id, state.expiresAt]]))
    return 'new'
  }

  async get(id: string, nowMs: number): Promise<DeferredState | undefined> {
    const kept = this.#kept.get(id)
    return kept === undefined || kept.keepUntil <= nowMs ? undefined : kept.state
  }

  async extend(id: string, expiresAt: number): Promise<void> {
    const kept = this.#kept.get(id)
    if (kept?.state.status !== 'queued') return
    kept.state = { ...kept.state, expiresAt }
    this.#queued.get(kept.state.owner)?.set(id, expiresAt)
  }

  async end(id: string, status: 'done' | 'failed' | 'expired', result?: DeferredResult): Promise<void> {
    const kept = this.#kept.get(id)
    if (kept?.state.status !== 'queued') return
    kept.state = { ...kept.state, status, result }
    this.#leave(kept.state)
  }

  async drop(id: string): Promise<void> {
    const kept = this.#kept.get(id)
    if (!kept || kept.joined) return
    this.#kept.delete(id)
    this.#leave(kept.state)
  }

  #leave({ id, owner }: DeferredState): void {
    const own = this.#queued.get(owner)
    own?.delete(id)
    if (own?.size === 0) this.#queued.delete(owner)
  }

  #sweep(nowMs: number): void {
    for (const [owner, ids] of this.#queued) {
      for (const [id, expiresAt] of ids) if (expiresAt <= nowMs) ids.delete(id)
      if (ids.size === 0) this.#queued.delete(owner)
    }
    for (const [id, { keepUntil }] of this.#kept) {
      if (keepUntil > nowMs) return
      this.#kept.delete(id)
    }
  }
}
