// How queues, streams and groups are called on the server. NATS separates the tokens of a subject by dots and names
// streams without them, so every character that could mean something is written as =HH, which no name can contain.
const plain = /^[A-Za-z0-9_-]$/

/** The name as one token of a subject; different names have different tokens. */
export function token(name: string): string {
  return Array.from(name, (letter) => (plain.test(letter) ? letter : escaped(letter))).join('')
}

function escaped(letter: string): string {
  const bytes = [...Buffer.from(letter, 'utf8')]
  return bytes.map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
}

export interface QueueNames {
  readonly stream: string
  readonly work: string
  readonly dead: string
  /** Marks are `mark.<sequence>.<delivery>.<releases>.<due>`. */
  readonly mark: string
}

export interface StreamNames {
  readonly stream: string
  /** The subject of a partition is `base.<partition>`. */
  readonly base: string
  readonly groups: string
  readonly groupsBase: string
}

export class Names {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  queue(name: string): QueueNames {
    const base = `${this.#prefix}.q.${token(name)}`
    const stream = `${this.#prefix}_q_${token(name)}`
    return { stream, work: `${base}.work`, dead: `${base}.dead`, mark: `${base}.mark` }
  }

  stream(name: string): StreamNames {
    return {
      stream: `${this.#prefix}_s_${token(name)}`,
      base: `${this.#prefix}.s.${token(name)}`,
      groups: `${this.#prefix}_g_${token(name)}`,
      groupsBase: `${this.#prefix}.g.${token(name)}`,
    }
  }

  /** Where the members of a group tell each other that they live. No stream keeps it. */
  beats(stream: string, group: string): string {
    return `${this.#prefix}.b.${token(stream)}.${token(group)}`
  }
}
