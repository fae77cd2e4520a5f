// Which Node Spillway runs on, told before anything fails for the lack of it. In words that an old one understands: the command begins here.

/** What is wrong with a version of Node, as a sentence; undefined when nothing is. */
export function nodeTooOld(version: string = process.versions.node): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 19)) return undefined
  return `Spillway needs Node 22.19 or newer; this is Node ${version} (${process.execPath}).`
}
