// Whether a rule is about what is asked.

/**
 * The names may have `*` for any characters. Without regard to case, nor to a slash at the end: there are routers that take no notice of them, and who
 * writes an endpoint in another way is not to get past its rules.
 */
export function matcherOf(names: readonly string[]): (on: string | undefined) => boolean {
  const plain = names.map(alike)
  const exact = new Set(plain.filter((name) => !name.includes('*')))
  const patterns = plain.filter((name) => name.includes('*')).map((name) => name.split('*'))
  return (on) => {
    if (on === undefined) return false
    const asked = alike(on)
    return exact.has(asked) || patterns.some((parts) => matches(asked, parts))
  }
}

function alike(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('/') && !lower.endsWith(' /') ? lower.slice(0, -1) : lower
}

/** Each part is found as early as it can be: no text takes longer than its length for each part. */
function matches(text: string, parts: readonly string[]): boolean {
  const [first, last] = [parts[0]!, parts.at(-1)!]
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false
  let from = first.length
  const end = text.length - last.length
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, from)
    if (found < 0 || found + part.length > end) return false
    from = found + part.length
  }
  return true
}
