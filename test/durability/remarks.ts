// What the recorded program remarks at the moment a promise of Spillway resolves: from then on it must be true for ever.

export type Remark =
  /** `send` resolved. */
  | { readonly act: 'sent'; readonly ids: readonly string[] }
  /** `settle` is about to be called: from now on these may be gone. */
  | { readonly act: 'ending'; readonly ids: readonly string[] }
  /** `settle` resolved: these are done, or dead letters. */
  | { readonly act: 'done' | 'buried'; readonly ids: readonly string[] }
  /** `append` resolved. */
  | { readonly act: 'appended'; readonly partition: number; readonly position: number; readonly id: string }
  /** The group's `commit` of a position resolved; positions only rise. */
  | { readonly act: 'position'; readonly partition: number; readonly position: number }
  /** The database's `commit` of a unit resolved: its effect, its inbox entry and its message. */
  | { readonly act: 'unit'; readonly id: string }
  /** The database's `commit` of a progress resolved: everything below is finished. */
  | { readonly act: 'progress'; readonly partition: number; readonly low: number }
  /** `acquire` resolved. */
  | { readonly act: 'acquired'; readonly partition: number; readonly generation: number }

/** The body of a message, made from its id alone: a byte that is not as written shows. */
export function bodyOf(id: string): string {
  let seed = 7
  for (const letter of id) seed = (seed * 31 + letter.charCodeAt(0)) % 100_003
  return JSON.stringify({ id, filling: id.repeat(1 + (seed % 150)) })
}

export const names = {
  work: 'work',
  parcels: 'parcels',
  stream: 'events',
  group: 'readers',
  inbox: 'desk.work',
} as const
export const partitions = 3
/** Inside the recorded folder. */
export const places = { engine: 'engine', database: 'desk/desk.db', marker: 'marker' } as const
