// The front door of Spillway.

export type { BreakerForce, BreakerSnapshot, BreakerState } from './call/breaker.ts'
export type { BreakerOptions } from './call/breaker-rules.ts'
export type { BulkheadOptions } from './call/bulkhead.ts'
export type { CallRetryOptions, CallsOptions, Credentials } from './call/client/calls-options.ts'
export type { Addresses } from './call/client/instances.ts'
export type {
  AnswerOf,
  Caller,
  CommandContext,
  CommandHandler,
  QueryContext,
  QueryHandler,
} from './call/server/answer.ts'
export type { AnswerOptions } from './call/server/answerer.ts'
export type { Authenticate, CallRequest } from './call/server/authenticate.ts'
export type { RetryOptions } from './core/backoff.ts'
export { type CallContract, type CallKind, type CallOptions, call } from './core/call-contract.ts'
export type { CallFailed, CallOk, CallResult, CallUnknown, ResultOf } from './core/call-result.ts'
export { value } from './core/call-value.ts'
export { type Clock, systemClock } from './core/clock.ts'
export {
  type Context,
  type Contract,
  context,
  type EventContract,
  type EventOptions,
  event,
  type PointerContract,
  type QueueContract,
  type QueueOptions,
  queue,
} from './core/contract.ts'
export type { Duration } from './core/duration.ts'
export { type ErrorCode, errorCodes, isSpillwayError, SpillwayError } from './core/errors.ts'
export type { Background, StopOptions } from './core/lifecycle.ts'
export type { Message } from './core/message.ts'
export { type DeadLetter, deadLetter, type Outcome, type Retry, retry } from './core/outcome.ts'
export {
  type Current,
  type PointerData,
  type PointerOptions,
  pointer,
} from './core/pointer-contract.ts'
export type { QueueBehaviour } from './core/queue-options.ts'
export type { OnReport, Report } from './core/report.ts'
export type { Retain, RetainLast, RetainSome, Size } from './core/retain.ts'
export type { RetryBudgetOptions } from './core/retry-budget.ts'
export { type InputOf, type OutputOf, type Schema, unchecked } from './core/schema.ts'
export type { OnSettled, Settled } from './core/settled.ts'
export { openEngine } from './engine-of.ts'
export type { PointerEvent, PointerHandler, PointerHandlerOptions } from './pointer/pointer-event.ts'
export type { AskOptions, Calling } from './ports/call.ts'
export type { Durability, Engine, EngineOptions } from './ports/engine.ts'
export type { DeadMessage, FailedStart, QueueCount } from './ports/queue.ts'
export type { CancelResult } from './ports/queue-control.ts'
export type {
  AsynchronousTransaction,
  DrizzleTransaction,
  KnexTransaction,
  KyselyTransaction,
  PgTransaction,
  PrismaTransaction,
  SqliteTransaction,
} from './ports/user-transaction.ts'
export type { Handler } from './queue/attempts.ts'
export type { BatchDelivery, BatchHandler, BatchResult } from './queue/batch.ts'
export type { BatchOptions, ConsumeOptions, Consumer } from './queue/consumer.ts'
export type { RedriveFilter } from './queue/dead-letters.ts'
export type { Delivery } from './queue/delivery.ts'
export type { FinishedMessage } from './queue/finished-messages.ts'
export type { Missed } from './queue/missed-runs.ts'
export type { SendOptions } from './queue/outgoing.ts'
export type { Queue } from './queue/queue.ts'
export type { Schedule } from './queue/schedule-spec.ts'
export type { ScheduleOptions } from './queue/schedules.ts'
export type { WaitingMessage } from './queue/waiting-message.ts'
export type { SagaInstance, SagaInstances } from './saga/instances.ts'
export {
  type AnySaga,
  type Missing,
  type Saga,
  type SagaOptions,
  type StartOptions,
  type StepOptions,
  saga,
} from './saga/saga.ts'
export type { Ended, Step } from './saga/step.ts'
export { type OpenOptions, open, type Spillway, type StreamOptions } from './spillway.ts'
export type { DeadEvent } from './stream/dead-events.ts'
export type { EventDelivery } from './stream/event-delivery.ts'
export type { HistoryOptions } from './stream/history.ts'
export type { GroupLag, PartitionLag } from './stream/lag.ts'
export type { EventHandler, FailureOptions, SubscribeOptions } from './stream/plan.ts'
export type { ReadEvent } from './stream/read-event.ts'
export type { Reading } from './stream/reading.ts'
export type { Start } from './stream/start.ts'
export type { Appended, AppendOptions, Stream } from './stream/stream.ts'
export type {
  DeadLetterOfStream,
  DeadLetterOptions,
  ParkedLetter,
  StreamGroup,
} from './stream/stream-group.ts'
export type { Subscription } from './stream/subscription.ts'
export type { Replayable, ReplayHandlers } from './topology/replay.ts'
export { type Running, type RunOptions, run } from './topology/run.ts'
export type { RunningService } from './topology/running-service.ts'
export { type Service, type ServiceOptions, service } from './topology/service.ts'
export { check, type Topology, type TopologyOptions, topology } from './topology/topology.ts'
export type { BatchContext, BatchWorkHandler } from './transaction/batch-handler.ts'
export type { BatchAskOptions } from './transaction/calling.ts'
export type { HandlerContext, ServiceHandler, WorkContext, WorkHandler } from './transaction/handler.ts'
export type { JoinedSender } from './transaction/join.ts'
export type { Sender, Tx } from './transaction/unit.ts'
