// Numbers, times and JSON as people read them.

import { isSpillwayError } from '../../core/errors.ts'
import { decode, type Message } from '../../core/message.ts'
import { visible } from './text.ts'

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

export function count(of: number, what?: string, plural?: string): string {
  const number = of.toLocaleString('en-US')
  if (what === undefined) return number
  return `${number} ${of === 1 ? what : (plural ?? `${what}s`)}`
}

/** `3m`, `2h`, `12s`: the largest unit alone. */
export function span(ms: number): string {
  for (const [unit, size] of units) if (ms >= size) return `${Math.floor(ms / size)}${unit}`
  return '0s'
}

/** `90s`, `10m`, `1d`: exactly, in the largest unit that divides it. */
export function every(ms: number): string {
  for (const [unit, size] of units) if (ms % size === 0) return `${ms / size}${unit}`
  return `${ms}ms`
}

export function ago(time: number, now: number = Date.now()): string {
  return `${span(Math.max(0, now - time))} ago`
}

/** `2026-11-23 06:50:03`, in UTC. */
export function at(time: number): string {
  return new Date(time).toISOString().slice(0, 19).replace('T', ' ')
}

/** The message in a body, or undefined for one that is no envelope: whoever looks must see it all the same. */
export function envelope(body: string): Message | undefined {
  const message = decode(body)
  return isSpillwayError(message) ? undefined : message
}

/** The data in one line. */
export function dataOf(body: string): string {
  const message = envelope(body)
  return message === undefined ? body : (JSON.stringify(message.data) ?? '')
}

/** The body as JSON, where it is. */
export function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

/** The body in indented lines, and nothing in them that would steer the terminal. */
export function wholeBody(body: string): string[] {
  return JSON.stringify(parsed(body), undefined, 2).split('\n').map(visible)
}
