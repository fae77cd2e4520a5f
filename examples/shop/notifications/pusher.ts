// Sends web pushes (RFC 8030), encrypted for one phone (RFC 8291) and signed by the shop (RFC 8292).
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import webPush, { type PushSubscription, type VapidKeys } from 'web-push'
import type { Duration } from '../spillway.ts'

export type Subscription = Pick<PushSubscription, 'endpoint' | 'keys'>

/** What the push service made of it. */
export type PushAnswer =
  | { readonly kind: 'delivered' }
  /** The phone is no longer there, and will not come back. */
  | { readonly kind: 'gone' }
  /** Too much, or a bad moment: again after so long, or when we think fit. */
  | { readonly kind: 'later'; readonly after?: Duration; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }

const ttlSeconds = 600

export function pusher(keyFile: string) {
  const vapidDetails = { subject: 'mailto:shop@example.org', ...keysIn(keyFile) }
  return {
    async push({ endpoint, keys }: Subscription, text: string, signal: AbortSignal): Promise<PushAnswer> {
      const request = webPush.generateRequestDetails({ endpoint, keys }, text, {
        vapidDetails,
        TTL: ttlSeconds,
      })
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      )
      const init = { method: 'POST', headers, body: bytes(request.body), signal }
      try {
        const response = await fetch(endpoint, init)
        return answerOf(response.status, await response.text(), response.headers.get('retry-after'))
      } catch (thrown) {
        // Nobody knows whether it arrived: a phone that is told twice is better than one that is not told.
        return { kind: 'later', reason: String((thrown as Error).cause ?? thrown) }
      }
    },
  }
}

function answerOf(status: number, text: string, retryAfter: string | null): PushAnswer {
  if (status >= 200 && status < 300) return { kind: 'delivered' }
  if (status === 404 || status === 410) return { kind: 'gone' }
  const reason = `${status} ${text}`.trim()
  if (status !== 429 && status < 500) return { kind: 'refused', reason }
  const seconds = Number(retryAfter ?? Number.NaN)
  return { kind: 'later', reason, ...(seconds >= 0 ? { after: seconds * 1_000 } : {}) }
}

/** The shop's own key pair: phones trust messages that it signs, so it is made once, by whichever process is first, and kept. */
function keysIn(file: string): VapidKeys {
  mkdirSync(dirname(file), { recursive: true })
  const own = `${file}.${process.pid}`
  writeFileSync(own, JSON.stringify(webPush.generateVAPIDKeys()), { mode: 0o600 })
  try {
    // Whole or not at all: others read it at the same time.
    linkSync(own, file)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
  } finally {
    rmSync(own)
  }
  return JSON.parse(readFileSync(file, 'utf8')) as VapidKeys
}

function bytes(body: Buffer | null): Uint8Array<ArrayBuffer> {
  return new Uint8Array(body ?? [])
}
