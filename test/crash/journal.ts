// What a sender did, in an append-only file of its own: one line before each send, one after its acknowledgement.
// A file survives `kill -9` of who writes it, and the writer reads its own to know where it was.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export interface Entry {
  readonly key: string
  readonly number: number
  readonly acknowledged: boolean
}

export class Journal {
  readonly #file: number

  constructor(folder: string, name: string) {
    this.#file = openSync(join(folder, `${name}.journal`), 'a')
    // A line that the last process was killed in ends here.
    writeSync(this.#file, '\n')
  }

  intend(key: string, number: number): void {
    writeSync(this.#file, `intend ${key} ${number}\n`)
  }

  acknowledge(key: string, number: number): void {
    writeSync(this.#file, `acknowledge ${key} ${number}\n`)
  }

  /** An order that is undone, with the id that its event would have. */
  undo(key: string, id: string): void {
    writeSync(this.#file, `undo ${key} ${id}\n`)
  }

  probe(act: string, accepted: boolean): void {
    writeSync(this.#file, `probe ${act} ${accepted ? 'accepted' : 'refused'}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Every send of a sender, in order. */
export function readSends(folder: string, name: string): Entry[] {
  const sends = new Map<string, Entry>()
  for (const [word, key, number] of lines(folder, name)) {
    if (word !== 'intend' && word !== 'acknowledge') continue
    const entry = { key: key!, number: Number(number), acknowledged: word === 'acknowledge' }
    const id = `${key} ${number}`
    if (entry.acknowledged || !sends.has(id)) sends.set(id, entry)
  }
  return [...sends.values()]
}

export function readUndone(folder: string, name: string): string[] {
  return lines(folder, name)
    .filter(([word]) => word === 'undo')
    .map(([, , id]) => id!)
}

export function readProbes(folder: string, name: string): { act: string; accepted: boolean }[] {
  return lines(folder, name)
    .filter(([word]) => word === 'probe')
    .map(([, act, outcome]) => ({ act: act!, accepted: outcome === 'accepted' }))
}

export function journalsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.journal'))
    .map((file) => file.slice(0, -'.journal'.length))
}

function lines(folder: string, name: string): string[][] {
  const file = join(folder, `${name}.journal`)
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((words) => words.length === 3)
}
