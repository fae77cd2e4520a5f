// What decides at a door: limits of this process, or those that several share in a store.
import type { Limits } from '../../limits.ts'
import type { SharedLimits } from '../../shared/shared-limits-api.ts'

export type DoorLimits =
  | Pick<Limits, 'decide' | 'admit' | 'headers'>
  | Pick<SharedLimits, 'decide' | 'admit' | 'headers'>
