// What a handler needs beside its event, got before an attempt begins: the payload of a pointer event, for one.
import type { Message } from '../core/message.ts'

/** What a handler needs beside its message. */
export interface Preparation {
  /**
   * Resolves with it, however long that takes. Rejects where this event can never have it: that is an attempt that failed. Ends when the
   * signal fires, at a stop or when the partition is lost; nobody looks at how.
   */
  prepare(message: Message, signal: AbortSignal): Promise<Prepared>
  /** With it, an event whose version is at or below one that a handler of its key was shown since the partition was taken is passed over. */
  versionOf?(message: Message): number
}

export interface Prepared {
  /** The handler's third argument. */
  readonly value: unknown
  /** Which version of its key the handler is shown. */
  readonly version?: number
}

/** This event can never be prepared: that is thrown in place of its handler. */
export interface Unpreparable {
  readonly thrown: unknown
}
