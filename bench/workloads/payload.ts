// The data of every message: 200 bytes of JSON, different each time, the same for all systems.
export const payloadBytes = 200

export interface Payload {
  readonly n: number
  /** When it was sent, by `now()`; 0 where nobody asks. */
  readonly at: number
  readonly text: string
}

const empty = JSON.stringify({ n: 0, at: 0, text: '' }).length - 2

export function payload(n: number, at = 0): Payload {
  const head = `${n}${at}`
  const text = noise(n).slice(0, payloadBytes - empty - head.length)
  return { n, at, text }
}

/** As much text as is needed, which does not repeat itself from message to message. */
function noise(seed: number): string {
  let state = (seed * 2_654_435_761 + 1) >>> 0
  let text = ''
  while (text.length < payloadBytes) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += state.toString(36)
  }
  return text
}

/** Microseconds on a clock that all processes of a machine share. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
