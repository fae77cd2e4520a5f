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

/** The callback, made safe for background work: what it throws becomes a process warning and ends nothing. */
export function guarded(onReport: OnReport | undefined): OnReport {
  return (report) => {
    try {
      onReport?.(report)
    } catch (thrown) {
      process.emitWarning(`onReport threw: ${asError(thrown).message}`, 'SpillwayWarning')
    }
  }
}
