/** What is particular to one kind of server; `launch` does the rest. */
import type { Account } from './account.ts'

/** Where one server lives. */
export interface Place {
  readonly folder: string
  /** For its data; exists and is empty at first. */
  readonly data: string
  readonly port: number
  /** For servers that need a second one. */
  readonly innerPort: number
}

export interface Recipe {
  readonly name: string
  readonly account?: Account | undefined
  /** The signal that asks for a clean end without waiting for clients. */
  readonly stopSignal: NodeJS.Signals
  url(place: Place): string
  /** Once, before the first start: configuration and empty storage. */
  prepare(place: Place): Promise<void>
  /** The program that stays in the foreground, and its arguments. */
  command(place: Place): readonly [program: string, ...args: string[]]
  /** Makes a real request and resolves to the server's version; rejects while the server is not ready. */
  probe(place: Place): Promise<string>
  /** What a killed server leaves outside its folder. */
  sweep?(place: Place): Promise<void>
}
