#!/usr/bin/env node
// The command `spillway`. Its first act is to look at the version of Node.
import { nodeTooOld } from '../core/node-version.ts'

const tooOld = nodeTooOld()
if (tooOld !== undefined) {
  process.stderr.write(`${tooOld}\n`)
  process.exit(1)
}
const { program } = await import('./program.ts')
const { CommanderError } = await import('commander')
try {
  await program().parseAsync()
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown
  // What was wrong has been said. Help and the version end this way too.
  process.exitCode = thrown.exitCode === 0 ? 0 : 2
}
