// Whether a rule is about what is asked.

/** The names may have `*` for any characters. */
export function matcherOf(names: readonly string[]): (on: string | undefined) => boolean {
  const exact = new Set(names.filter((name) => !name.includes('*')))
  const patterns = names.filter((name) => name.includes('*')).map((name) => name.split('*'))
  return (on) => on !== undefined && (exact.has(on) || patterns.some((parts) => matches(on, parts)))
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
