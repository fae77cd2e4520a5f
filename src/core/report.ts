// What background work has to say: things that went wrong and were survived. Values for a callback; nothing is logged here.
import { asError, type SpillwayError } from './errors.ts'

export interface Report {
  /** 'the consumer of orders.receipt', 'the relay of billing': who speaks. */
  readonly from: string
  readonly error: SpillwayError
  /** The message it was about, if it was about one. */
  readonly messageId?: string | undefined
}

export type OnReport = (report: Report) => void

/** A callback, made safe for background work: what it throws becomes a process warning and ends nothing. */
export function guarded<Told = Report>(
  callback: ((told: Told) => void) | undefined,
  name = 'onReport',
): (told: Told) => void {
  return (told) => {
    try {
      callback?.(told)
    } catch (thrown) {
      process.emitWarning(`${name} threw: ${asError(thrown).message}`, 'SpillwayWarning')
    }
  }
}
