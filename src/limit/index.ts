// spillway/limit: rules for how often, and what they decide; limits at the HTTP door, who stands there, and who heeds the limits of others.
export type { Duration } from '../core/duration.ts'
export { SpillwayError } from '../core/errors.ts'
export { type AddressOptions, addressKey, canonicalAddress } from './address/canonical.ts'
export { addressRanges, type RangesOptions } from './address/ranges.ts'
export {
  type AddressedRequest,
  type ForwardedHeader,
  type TrustedProxyOptions,
  trustedProxies,
} from './address/trusted-proxies.ts'
export { type CallLimits, type LimitedCall, limitCalls } from './calls.ts'
export type { Decision, Outcome, Reason, RuleState, WorkEnd } from './decision.ts'
export type {
  DeferBounds,
  DeferQueue,
  DeferredRequest,
  DeferredResult,
  DeferredState,
  DeferStore,
} from './defer.ts'
export { loadRules } from './file/load-rules.ts'
export { type Reloadable, type WatchedRules, type WatchRulesOptions, watchRules } from './file/watch-rules.ts'
export { type Guarantee, guaranteeOf } from './guarantee.ts'
export { type BackOffOptions, backOff } from './http/client/back-off.ts'
export type { Send, SendInit } from './http/client/send.ts'
export {
  type Deferral,
  type DeferralOptions,
  type DeferredWork,
  deferral,
  type WorkOffOptions,
} from './http/defer/deferral.ts'
export { type DeferredQueueOptions, deferredQueue } from './http/defer/deferred-queue.ts'
export { memoryDeferStore } from './http/defer/memory-store.ts'
export { type DeferStorePool, postgresDeferStore } from './http/defer/postgres-store.ts'
export { type DeferStoreHandle, sqliteDeferStore } from './http/defer/sqlite-store.ts'
export { type DoorOptions, decisionOf } from './http/door/door.ts'
export type { DoorLimits } from './http/door/door-limits.ts'
export { type ExpressRequest, limitExpress } from './http/door/express.ts'
export {
  type FastifyDoorOptions,
  type FastifyHook,
  type FastifyLikeReply,
  type FastifyLikeRequest,
  limitFastify,
} from './http/door/fastify.ts'
export { type HonoContext, limitHono } from './http/door/hono.ts'
export { limitNode, type NodeResponse } from './http/door/node.ts'
export type { RawRequest, SubjectOptions } from './http/door/request-subject.ts'
export type { Show } from './http/door/state-fields.ts'
export { keyText } from './key-text.ts'
export { type Limits, type LimitsOptions, limits, type RuleCounts } from './limits.ts'
export type { Problem } from './rule/fields.ts'
export type {
  AdaptiveRule,
  AtMostRule,
  AtOnceRule,
  BanOptions,
  BucketRule,
  Key,
  PaceRule,
  Period,
  PerPlan,
  Rule,
  RuleOptions,
  Rules,
} from './rule/rule.ts'
export { sharedLimits } from './shared/shared-limits.ts'
export type { SharedLimits, SharedLimitsOptions, SharedRuleCounts } from './shared/shared-limits-api.ts'
export type { Subject } from './subject.ts'
