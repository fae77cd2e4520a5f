// Functions that send a request, as far as backing off needs to know them: `fetch`, and undici's `request`.
import type { ReadField } from './told.ts'

/** What may be said of a request besides its address. */
export interface SendInit {
  readonly method?: string | null | undefined
  readonly headers?: unknown
  readonly body?: unknown
  readonly signal?: unknown
}

export type Send<Input, Init, Answer> = (input: Input, init?: Init) => Promise<Answer>

/** What is read of a request. */
export interface Asked {
  readonly origin: string
  readonly route: string
  readonly signal: AbortSignal | undefined
  /** Nothing is used up by sending it: it can be sent again. */
  readonly canRepeat: boolean
  /** Doing it twice does what doing it once does, or there is a key by which the other side knows. */
  readonly isIdempotent: boolean
}

/** A part of a path with a digit is mostly the name of one of many things, which one limit bounds. */
const id = /\/[^/]*\d[^/]*/g

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/** Undefined for an address that cannot be read: whoever sends it will say what is wrong with it. */
export function askedOf(input: unknown, init: SendInit | undefined): Asked | undefined {
  const request = isRequest(input) ? input : undefined
  const url = URL.parse(String(request ? request.url : input))
  if (!url) return undefined
  const method = String(init?.method ?? request?.method ?? 'GET').toUpperCase()
  const signal = init?.signal ?? request?.signal
  const headers = init?.headers ?? request?.headers
  const body = init?.body ?? request?.body
  return {
    origin: url.origin,
    route: `${method} ${url.origin}${url.pathname.replace(id, '/*')}`,
    signal: signal instanceof AbortSignal ? signal : undefined,
    canRepeat: body === undefined || body === null || (init?.body !== undefined && isLasting(body)),
    isIdempotent: idempotent.has(method) || has(headers, 'idempotency-key'),
  }
}

/** Reads fields of an answer of `fetch` or of undici. */
export function readerOf(answer: unknown): ReadField {
  const { headers } = answer as { readonly headers?: unknown }
  if (hasGet(headers)) return (name) => headers.get(name) ?? undefined
  const record = (headers ?? {}) as Readonly<Record<string, unknown>>
  return (name) => {
    const value = record[name]
    return Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : undefined
  }
}

export function statusOf(answer: unknown): number {
  const { status, statusCode } = answer as { readonly status?: unknown; readonly statusCode?: unknown }
  return Number(status ?? statusCode)
}

/** Lets go of an answer that nobody will read: its connection is free again. */
export async function discard(answer: unknown): Promise<void> {
  const { body } = answer as { readonly body?: unknown }
  const { dump, cancel } = (body ?? {}) as { readonly dump?: unknown; readonly cancel?: unknown }
  try {
    if (typeof dump === 'function') await dump.call(body)
    else if (typeof cancel === 'function') await cancel.call(body)
  } catch {
    // It is gone all the same.
  }
}

interface RequestLike {
  readonly url: string
  readonly method: string
  readonly headers?: unknown
  readonly body?: unknown
  readonly signal?: unknown
}

function isRequest(value: unknown): value is RequestLike {
  return typeof value === 'object' && value !== null && 'url' in value && 'method' in value
}

/** What is still there after it was sent once. Streams and iterators are not. */
function isLasting(body: unknown): boolean {
  return (
    typeof body === 'string' ||
    body instanceof Uint8Array ||
    body instanceof ArrayBuffer ||
    body instanceof URLSearchParams ||
    body instanceof Blob ||
    body instanceof FormData
  )
}

function hasGet(headers: unknown): headers is { get(name: string): string | null } {
  return (
    typeof headers === 'object' && headers !== null && 'get' in headers && typeof headers.get === 'function'
  )
}

function has(headers: unknown, name: string): boolean {
  if (hasGet(headers)) return headers.get(name) !== null
  if (Array.isArray(headers))
    return headers.some((each) => String(Array.isArray(each) ? each[0] : each).toLowerCase() === name)
  return Object.keys(headers ?? {}).some((key) => key.toLowerCase() === name)
}
