// A command that was asked for in a way that cannot work: exit code 2, and nothing was done.
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** The person at the terminal said no: exit code 1, without further words. */
export class Declined extends Error {
  override readonly name: string = 'Declined'
}
