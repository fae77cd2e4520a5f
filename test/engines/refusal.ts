// What is asked of every refusal while an engine is opened: a SpillwayError, soon, that tells what to do and keeps secrets.
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'vitest'
import { isSpillwayError, type SpillwayError } from '../../src/core/errors.ts'
import type { Engine } from '../../src/ports/engine.ts'

export interface Expected {
  /** What it says, and what it tells to do. */
  readonly says: RegExp
  readonly retryable?: boolean
  readonly code?: string
  /** None of them may be found anywhere in the error. */
  readonly secrets: readonly string[]
}

/** Far below any timeout of an engine, and enough for a machine under load. */
const soonMs = 8_000

export async function refusal(opening: Promise<Engine>, expected: Expected): Promise<SpillwayError> {
  const from = performance.now()
  const thrown: unknown = await opening.then(
    async (engine) => {
      await engine.close()
      return 'it was opened'
    },
    (error: unknown) => error,
  )
  const ms = performance.now() - from
  if (!isSpillwayError(thrown)) throw new Error(`No SpillwayError: ${inspect(thrown)}`)
  expect(thrown.message).toMatch(expected.says)
  expect({ code: thrown.code, retryable: thrown.retryable }).toEqual({
    code: expected.code ?? 'ENGINE_UNAVAILABLE',
    retryable: expected.retryable ?? false,
  })
  expect(ms).toBeLessThan(soonMs)
  keepsSecrets(inspect(thrown, { depth: null, showHidden: true }), expected.secrets)
  return thrown
}

/** As they are, and as they stand in a URL. */
export function keepsSecrets(text: string, secrets: readonly string[]): void {
  for (const secret of secrets)
    for (const form of [secret, encodeURIComponent(secret)]) expect(text).not.toContain(form)
}

/** Runs a program of the documentation as it stands; what it prints. */
export function snippet(name: string, variables: Readonly<Record<string, string>>): string {
  const ran = spawnSync(
    process.execPath,
    ['--conditions=@spillway/source', resolve('docs/snippets', `${name}.ts`)],
    { encoding: 'utf8', timeout: 60_000, env: { ...process.env, ...variables } },
  )
  expect(ran.status, ran.stderr).toBe(0)
  return ran.stdout
}

/** Runs the command line to its end. */
export function spillway(...args: readonly string[]): {
  readonly status: number | null
  readonly text: string
} {
  const ran = spawnSync(
    process.execPath,
    ['--conditions=@spillway/source', resolve('src/cli/main.ts'), ...args],
    { encoding: 'utf8', timeout: 60_000 },
  )
  return { status: ran.status, text: `${ran.stdout}${ran.stderr}` }
}
