// The headers in which proxies write who asked them, read from the right: the last entry is that of the last proxy. Where an
// entry begins is found from its own end alone, so that what a client wrote to its left, open quotes for one, changes nothing.

/** An entry, without what surrounds it: undefined when it cannot be read. `start` is where it begins. */
export interface Entry {
  readonly start: number
  readonly node: string | undefined
}

/** Both headers read the last entry that ends before `end`. */
export type LastEntry = (text: string, end: number) => Entry

/** As much as node:http takes of all headers, unless told otherwise: `Forwarded` may have a host in it that the client named. */
const longest = 16_384
const quote = 34
const comma = 44

/** `X-Forwarded-For`: addresses, between commas. */
export const lastForwardedFor: LastEntry = (text, end) => {
  const start = end === 0 ? 0 : text.lastIndexOf(',', end - 1) + 1
  return { start, node: trimmed(text, start, end) }
}

/** `Forwarded` (RFC 7239): the value of `for` in a list of pairs, which may be quoted. */
export const lastForwarded: LastEntry = (text, end) => {
  let quoted = false
  for (let at = end - 1; at >= 0 && end - at <= longest; at--) {
    const code = text.charCodeAt(at)
    // From the right the quote that opens a value stands behind its `=`; one behind a backslash is a part of the value.
    if (code === quote && !(quoted && text[at - 1] === '\\')) quoted = !quoted
    else if (code === comma && !quoted) return { start: at + 1, node: forOf(text.slice(at + 1, end)) }
  }
  return { start: 0, node: end > longest ? undefined : forOf(text.slice(0, end)) }
}

/** Unquoted values have colons and brackets here: they must not, but there are proxies that write IPv6 so. */
const pair = /[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;\\\s]*)))?[ \t]*(?:;|$)/y

/** Undefined without a `for`, with two of them, and for what is no list of pairs. */
function forOf(element: string): string | undefined {
  let found: string | undefined
  pair.lastIndex = 0
  while (pair.lastIndex < element.length) {
    const match = pair.exec(element)
    if (match === null) return undefined
    if (match[1]?.toLowerCase() !== 'for') continue
    if (found !== undefined) return undefined
    found = match[3] ?? match[2]!.replace(/\\(.)/g, '$1')
  }
  return found
}

/** Without the spaces and tabs around it, and nothing else: other white space has no place there. */
function trimmed(text: string, start: number, end: number): string {
  let [from, to] = [start, end]
  while (from < to && isBlank(text.charCodeAt(from))) from++
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9
}
