// What a client that is refused reads: problem details (RFC 9457) of the types that the draft of the RateLimit fields registers.

export const problemType = 'application/problem+json'

/**
 * `quota-exceeded`: the client asked more than a rule allows. `temporary-reduced-capacity`: the server takes less than usual, whatever the client
 * did. `abnormal-usage-detected`: it is banned for what it did before.
 */
export type LimitProblemKind = 'quota-exceeded' | 'temporary-reduced-capacity' | 'abnormal-usage-detected'

const base = 'https://iana.org/assignments/http-problem-types#'

const kinds: Readonly<Record<LimitProblemKind, { readonly status: 429 | 503; readonly title: string }>> = {
  'quota-exceeded': { status: 429, title: 'Quota Exceeded' },
  'temporary-reduced-capacity': { status: 503, title: 'Temporary Reduced Capacity' },
  'abnormal-usage-detected': { status: 429, title: 'Abnormal Usage Detected' },
}

export interface LimitProblem {
  readonly type: string
  readonly title: string
  readonly status: 429 | 503
  readonly detail: string
  /** The names of the rules that refused. */
  readonly 'violated-policies': readonly string[]
}

/** The body of a refusal. It says which rules refused, and nothing of what others asked. */
export function limitProblem(
  kind: LimitProblemKind,
  violated: readonly string[],
  detail: string,
): LimitProblem {
  const { status, title } = kinds[kind]
  return { type: `${base}${kind}`, title, status, detail, 'violated-policies': violated }
}

/** The kind of a problem by its type; undefined for any other problem. */
export function problemKindOf(type: unknown): LimitProblemKind | undefined {
  if (typeof type !== 'string') return undefined
  const kind = type.slice(type.lastIndexOf('#') + 1)
  // People write the address of the registry with and without `www`.
  return /^https:\/\/(?:www\.)?iana\.org\/assignments\/http-problem-types#/.test(type) &&
    Object.hasOwn(kinds, kind)
    ? (kind as LimitProblemKind)
    : undefined
}
