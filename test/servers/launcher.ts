/** What every real server looks like to the tests: how to ask whether it can run here, and what a running one offers. */

export interface StartOptions {
  /** How long the server may take to answer its first real request. Default 60,000. */
  readonly startMs?: number
}

export interface RunningServer extends AsyncDisposable {
  /** Where clients connect: `postgres://user:password@127.0.0.1:port/db`, `kafka://127.0.0.1:port`, … */
  readonly url: string
  /** The version the running server reported, not the one we hoped for. */
  readonly version: string
  /** The temporary folder with its data and `server.log`; gone after `stop()`. */
  readonly folder: string
  /** The server's process id, `undefined` while it is down. */
  readonly pid: number | undefined
  /** Ends the server, by force if it does not go in 10 s, and removes its folder. May be called again. */
  stop(): Promise<void>
  /** SIGKILL for the server and all its children; its data stay. Nothing is written once this resolves. */
  kill(): Promise<void>
  /** Starts it again on the same port with the same data; a server that is up is ended cleanly first. */
  restart(): Promise<void>
}

export interface Launcher<Options extends StartOptions = StartOptions> {
  /** Stable within one machine: `postgres-15`, `kafka`, … */
  readonly name: string
  /** Why it cannot run here and how to get it, in one sentence; `undefined` when it can. */
  missing(): Promise<string | undefined>
  /** Resolves when the server has answered a real request; rejects with the end of its log when it does not. */
  start(options?: Options): Promise<RunningServer>
}
