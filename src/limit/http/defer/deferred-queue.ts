// How the queue of deferred requests is declared: their order, turns, and tries.
import type { Duration } from '../../../core/duration.ts'
import type { Schema } from '../../../core/schema.ts'
import type { DeferredRequest } from '../../defer.ts'

const texts = ['id', 'owner', 'method', 'target', 'body'] as const

/** Checks what a message carries; written by hand, so that no validator is needed for it. */
const data: Schema<DeferredRequest, DeferredRequest> = {
  '~standard': {
    version: 1,
    vendor: 'spillway',
    validate: (value) => {
      const request = value as Partial<Record<keyof DeferredRequest, unknown>> | null
      const wrong = texts.filter((name) => typeof request?.[name] !== 'string')
      const whole =
        typeof request?.expiresAt === 'number' && isRecord(request.headers) && isRecord(request.subject)
      return wrong.length === 0 && whole
        ? { value: value as DeferredRequest }
        : {
            issues: [
              { message: `It is no deferred request: ${wrong.join(', ') || 'its parts'} are missing.` },
            ],
          }
    },
  },
}

export interface DeferredQueueOptions {
  readonly data: Schema<DeferredRequest, DeferredRequest>
  readonly key: (request: DeferredRequest) => string
  readonly dedup: (request: DeferredRequest) => string
  readonly group: (request: DeferredRequest) => string
  readonly retry: { readonly attempts: number; readonly initial: Duration; readonly max: Duration }
}

/**
 * What a queue of deferred requests is declared with: `spillway.queue('late', deferredQueue())`. Those of one owner in their order, owners in turns, and as many
 * tries as it takes until the limit allows them or they expire. Whoever asks again with his key adds none. Needs an engine with `keyOrder`, `groups` and `dedup`.
 */
export function deferredQueue(): DeferredQueueOptions {
  return {
    data,
    key: ({ owner }) => owner,
    dedup: ({ id }) => id,
    group: ({ owner }) => owner,
    retry: { attempts: 1_000_000, initial: '1s', max: '1m' },
  }
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
