// Where a listing goes on.

/** The handle behind which there is more, null at the end. A page may end before its limit because its messages are large: so it is asked. */
export async function goOnAfter(
  found: readonly { readonly handle: string }[],
  look: (last: string) => Promise<readonly unknown[]>,
): Promise<string | null> {
  const last = found.at(-1)?.handle
  return last !== undefined && (await look(last)).length > 0 ? last : null
}
