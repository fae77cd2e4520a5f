// What is decided about: who asks for what.

export const askedAgain: unique symbol = Symbol('asked again')

/**
 * The values of the keys by which rules bound (`user`, `address`, `device` …) beside what the rules look at by name. Values are taken as they
 * are, of any length and alphabet. An empty text is no value.
 */
export interface Subject {
  /** It is not its client who asks, but who works off what he asked: nobody offends by it. */
  readonly [askedAgain]?: true | undefined
  /** Which endpoint or call: 'POST /uploads', 'inventory.reserve'. */
  readonly on?: string | undefined
  /** Chooses among the numbers of rules that give several. */
  readonly plan?: string | undefined
  /** How much it takes where the rule does not say otherwise. Default 1; 0 asks and takes nothing. A fraction counts as a whole. */
  readonly cost?: number | undefined
  /** The client's address in any notation. */
  readonly address?: string | undefined
  /** As node:http gives them, names in lower case: for rules by a header. */
  readonly headers?: Headers | undefined
  readonly [key: string]: string | number | Headers | undefined
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** The value of a key that is the subject's own; undefined for none. */
export function ownValue(subject: Subject, name: string): string | undefined {
  const value = subject[name]
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' ? String(value) : undefined
}

/** A header that came several times is all of its values. */
export function headerOf(subject: Subject, name: string): string | undefined {
  const value = subject.headers?.[name]
  // What a record has of its prototype is no header.
  const text = Array.isArray(value) ? value.join(', ') : typeof value === 'string' ? value : undefined
  return text === '' ? undefined : text
}
