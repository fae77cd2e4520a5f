// What a consumer tells with each message, in its reply subject:
//
//     $JS.ACK.<stream>.<consumer>.<delivery>.<sequence>.<consumer sequence>.<nanoseconds>.<pending>
//
// Behind a domain two more names stand before the stream, and something random may stand at the end.
export interface Delivered {
  readonly stream: string
  /** How often it was delivered, this time included. */
  readonly delivery: number
  readonly sequence: number
  readonly consumerSequence: number
  /** When it was stored: milliseconds since the epoch. */
  readonly time: number
}

const start = '$JS.ACK.'

/** Undefined when it is something else. */
export function parseAckSubject(subject: string): Delivered | undefined {
  if (!subject.startsWith(start)) return undefined
  const tokens = subject.split('.')
  if (tokens.length < 9) return undefined
  const at = tokens.length === 9 ? 2 : 4
  const delivery = Number(tokens[at + 2])
  const sequence = Number(tokens[at + 3])
  const consumerSequence = Number(tokens[at + 4])
  const time = Number(tokens[at + 5]?.slice(0, -6))
  if (!(delivery >= 1 && sequence >= 1 && consumerSequence >= 1)) return undefined
  return { stream: tokens[at]!, delivery, sequence, consumerSequence, time }
}
