#!/usr/bin/env node
// The command `spillway`. Its first act is to look at the version of Node, in words that an old one understands.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `spillway needs Node 22.18 or newer; this is Node ${process.versions.node} (${process.execPath}).\n`,
  )
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
