// What a request asks for, as rules name it: 'POST /uploads'. One thing has one name here, however a client writes it, or rules would be gone round.

/** Nothing in it is written in a way of its own. */
const plain = /^(?:\/[A-Za-z0-9_~.-]+)+$/
const twoSlashes = /^[\\/]{2}/
const dots = /(?:^|\/)\.{1,2}(?:\/|$)/

/**
 * The name of an endpoint: the method (HEAD is GET: routers take it for that), and the path: decoded once, without query, doubled slashes and the
 * slash at its end. Undefined for what names one thing or another, depending on who reads it, and which no client that is one writes: a path with `.` or
 * `..` in it, one that begins with two slashes (of which `new URL(target, base)` takes the first part for a host), a target that is neither a path nor
 * an address.
 */
export function endpointOf(method: string, target: string): string | undefined {
  const asked = method === 'HEAD' ? 'GET' : method
  const end = target.search(/[?#]/)
  const path = pathOf(end < 0 ? target : target.slice(0, end))
  if (path === undefined || twoSlashes.test(path)) return undefined
  if (plain.test(path) && !path.includes('/.')) return `${asked} ${path}`
  const decoded = decode(path).replaceAll('\\', '/')
  if (dots.test(decoded)) return undefined
  const single = decoded.replace(/\/{2,}/g, '/')
  return `${asked} ${single.length > 1 && single.endsWith('/') ? single.slice(0, -1) : single}`
}

/** Of a target in absolute form, as proxies are asked, the path. */
function pathOf(target: string): string | undefined {
  if (target.startsWith('/') || target === '*') return target
  if (target === '') return '/'
  const found = /^[a-z][a-z0-9+.-]*:\/\/[^\\/]+(\/.*)?$/is.exec(target)
  return found === null ? undefined : (found[1] ?? '/')
}

/** A character of UTF-8, of one to four bytes. */
const character =
  /%[0-7][\da-f]|%[cd][\da-f]%[89ab][\da-f]|%e[\da-f](?:%[89ab][\da-f]){2}|%f[0-4](?:%[89ab][\da-f]){3}/gi

/** What is no UTF-8 stays as it is written, and nothing else does. */
function decode(path: string): string {
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return path.replace(character, (each) => {
      try {
        return decodeURIComponent(each)
      } catch {
        return each
      }
    })
  }
}
