// Noticing outside I/O that is started where none may be: inside a database transaction, which it would hold open.
// Node tells of every outgoing request and connection on its diagnostics channels; the async context tells whose it is.
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'

type Listener = (what: string) => void

const watched = new AsyncLocalStorage<Listener | undefined>()
let subscribed = false

/**
 * Runs `work` and calls `started`, at once and as often as it happens, when it or anything that it calls starts an HTTP
 * request (fetch and undici, node:http, node:https) or a connection (node:net, node:tls), awaited or not. What was started before,
 * and what goes over a connection that is open already without being HTTP, is not noticed. `started` must not throw.
 */
export function watchOutsideIo<Result>(started: (what: string) => void, work: () => Result): Result {
  listen()
  return watched.run(started, work)
}

/** Runs `work` unnoticed: for connections that are the transaction's own. */
export function withoutWatch<Result>(work: () => Result): Result {
  return watched.exit(work)
}

/** Once per process, when it is first needed; a subscription keeps nothing alive. */
function listen(): void {
  if (subscribed) return
  subscribed = true
  subscribe('undici:request:create', (message) => {
    const { request } = message as { request?: { method?: string; origin?: unknown; path?: string } }
    tell(`the request ${request?.method} ${request?.origin}${withoutQuery(request?.path)}`)
  })
  subscribe('http.client.request.start', (message) => {
    const { request } = message as { request?: HttpRequest }
    tell(
      `the request ${request?.method} ${request?.protocol}//${request?.host}${withoutQuery(request?.path)}`,
    )
  })
  subscribe('net.client.socket', () => tell('a network connection'))
}

interface HttpRequest {
  readonly method?: string
  readonly protocol?: string
  readonly host?: string
  readonly path?: string
}

function tell(what: string): void {
  watched.getStore()?.(what)
}

/** Queries carry secrets. */
function withoutQuery(path: string | undefined): string {
  return path?.split('?', 1)[0] ?? ''
}
