// What the process that measures is told, and what it says.
import type { Kind } from '../systems/system.ts'
import type { Work } from './names.ts'

export interface Job {
  readonly kind: Kind
  readonly system: string
  readonly url: string
  readonly effort: Effort
}

/** How long each work lasts. */
export interface Effort {
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly latencyMessages: number
  readonly readEvents: number
}

export const efforts = {
  quick: { seconds: 0.4, warmUpSeconds: 0.15, latencyMessages: 60, readEvents: 20_000 },
  full: { seconds: 2, warmUpSeconds: 0.5, latencyMessages: 500, readEvents: 100_000 },
} as const satisfies Record<string, Effort>

export type Said =
  | { readonly says: 'durability'; readonly durability: string }
  | { readonly says: 'sample'; readonly work: Work; readonly value: number }
  | { readonly says: 'failed'; readonly work: string; readonly error: string }
