// The answer of a command as it stands with its idempotency key: what was asked, by a fingerprint, and what was answered.
import { hash } from 'node:crypto'
import type { CallContract } from '../../core/call-contract.ts'
import type { Reply } from './reply.ts'

export interface StoredAnswer extends Pick<Reply, 'status' | 'body'> {
  readonly fingerprint: string
  /** Of the call: versions share their keys. */
  readonly version: number
}

/** What is asked with a key. */
export type Asked = Pick<StoredAnswer, 'fingerprint' | 'version'>

/** Why the stored answer is not one to what is asked; undefined when it is. */
export function reused({ type }: CallContract, asked: Asked, stored: StoredAnswer): string | undefined {
  if (stored.version !== asked.version) return `The key was used for version ${stored.version} of ${type}.`
  return stored.fingerprint === asked.fingerprint
    ? undefined
    : `The key was used for ${type} with another input.`
}

/** The same for inputs that differ in the order of their fields only. Of the input as JSON carried it. */
export function fingerprintOf(input: unknown): string {
  return hash('sha256', JSON.stringify(sorted(input)) ?? '', 'base64url')
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  const fields = value as Readonly<Record<string, unknown>>
  // Made of entries: `__proto__` is a field like any other.
  return Object.fromEntries(
    Object.keys(fields)
      .sort()
      .map((name) => [name, sorted(fields[name])]),
  )
}

/** One line about it, and the body as it was sent: nobody has to write or read its JSON another time. */
export function writeStored({ fingerprint, version, status, body }: StoredAnswer): string {
  return `${fingerprint} ${version} ${status}\n${body}`
}

export function readStored(text: string): StoredAnswer {
  const end = text.indexOf('\n')
  const [fingerprint = '', version, status] = text.slice(0, end).split(' ')
  return { fingerprint, version: Number(version), status: Number(status), body: text.slice(end + 1) }
}
