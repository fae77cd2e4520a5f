// What the doctor leaves behind is called so, and listings pass it over.
const ofCases = /^conformance-[a-z-]+-[0-9a-f]{12}/

export function isDoctors(name: string): boolean {
  return ofCases.test(name)
}

/** The names that a listing shows, and what it says of the others. */
export function withoutDoctors(
  names: readonly string[],
  all: boolean | undefined,
): { readonly shown: readonly string[]; readonly hidden: number } {
  const shown = all ? names : names.filter((name) => !isDoctors(name))
  return { shown, hidden: names.length - shown.length }
}
