// What a reader makes of one line, before it is known what is asked of it.

/** What costs more is no number that could be computed with. */
export const largestCost: number = Number.MAX_SAFE_INTEGER

/** One line of a log, read. The same object is filled anew for each line. */
export interface Line {
  /** Returns why the line is broken, or undefined. */
  read(text: string): string | undefined
  /** When, in whole microseconds since 1970; only after `read` went well. */
  readonly time: number
  /** The names that `field` knows in this line. */
  readonly fields: readonly string[]
  /** The text of a field; undefined where the line has none. */
  field(name: string): string | undefined
  /** The cost: of the field that is named, or, without a name, what the format has. A text says why there is none. */
  cost(field: string | undefined): number | string
  /** Whether the server refused it then, with 429. */
  readonly refused: boolean
  /** When it then said to come again, in seconds; undefined where the log does not have it. */
  readonly retryAfter: number | undefined
  /** Who asked for what, as far as the line says. */
  readonly who: string
}
