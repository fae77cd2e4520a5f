// Values written into SQL: only where several statements must go in one message, which takes no parameters.

/** Right whatever `standard_conforming_strings` says. The text has been checked for U+0000. */
export function literal(value: string | number | undefined): string {
  if (value === undefined) return 'null'
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : `'${value}'::float8`
  const quoted = `'${value.replaceAll("'", "''")}'`
  return quoted.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
