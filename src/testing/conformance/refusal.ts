// Checks that a call is refused the way the table of errors says.
import assert from 'node:assert/strict'
import { type ErrorCode, isSpillwayError, type SpillwayError } from '../../core/errors.ts'
import { soonMs, within } from './wait.ts'

/** Fails unless the call rejects, soon, with a SpillwayError of one of the codes. */
export async function refused(
  codes: ErrorCode | readonly ErrorCode[],
  call: () => Promise<unknown>,
  what = 'the call',
): Promise<SpillwayError> {
  const allowed: readonly ErrorCode[] = typeof codes === 'string' ? [codes] : codes
  let error: unknown
  try {
    await within(soonMs, what, call())
  } catch (thrown) {
    error = thrown
  }
  if (error === undefined) assert.fail(`${what} was accepted; expected ${allowed.join(' or ')}`)
  if (!isSpillwayError(error)) {
    if (error instanceof assert.AssertionError) throw error
    assert.fail(
      `${what} was refused with ${String(error)}, which is no SpillwayError; expected ${allowed.join(' or ')}`,
    )
  }
  assert.ok(
    allowed.includes(error.code),
    `${what} was refused with ${error.code}, expected ${allowed.join(' or ')}: ${error.message}`,
  )
  return error
}

/** Fails unless the call is refused with CAPABILITY_MISSING, naming the engine and the engines that have the feature. */
export async function refusedForLack(
  engine: string,
  owners: readonly string[],
  call: () => Promise<unknown>,
  what: string,
): Promise<void> {
  const error = await refused('CAPABILITY_MISSING', call, what)
  assert.equal(error.engine, engine, 'the error carries the name of the engine')
  assert.ok(error.message.includes(`'${engine}'`), `the message names the engine: ${error.message}`)
  for (const owner of owners)
    assert.ok(error.message.includes(owner), `the message names ${owner}, which has it: ${error.message}`)
}
