// The handle of a database in memory: rows by key, which a transaction can put back as they were.

/** What can put itself back. At most one snapshot is of use at a time: taking the next one ends it. */
export interface Restorable {
  /** From now on remembers what is changed; the function returned puts it back. */
  snapshot(): () => void
}

/**
 * Rows by key. What goes in and what comes out is a copy (`structuredClone`), as with a real database: changing a row
 * that was read changes nothing until it is `set`. So a rollback is complete.
 */
export class MemoryTable<Row, Key = string> implements Restorable {
  readonly #rows = new Map<Key, Row>()
  /** Each key that was changed since the snapshot, with the row that it had. */
  #changed = new Map<Key, Row | undefined>()

  get size(): number {
    return this.#rows.size
  }

  has(key: Key): boolean {
    return this.#rows.has(key)
  }

  get(key: Key): Row | undefined {
    return structuredClone(this.#rows.get(key))
  }

  set(key: Key, row: Exclude<Row, undefined>): void {
    const copy = structuredClone(row)
    this.#remember(key)
    this.#rows.set(key, copy)
  }

  delete(key: Key): boolean {
    this.#remember(key)
    return this.#rows.delete(key)
  }

  /** All rows with their keys; the order says nothing. */
  entries(): [Key, Row][] {
    return [...this.#rows].map(([key, row]) => [key, structuredClone(row)])
  }

  snapshot(): () => void {
    const changed = new Map<Key, Row | undefined>()
    this.#changed = changed
    return () => {
      for (const [key, row] of changed)
        if (row === undefined) this.#rows.delete(key)
        else this.#rows.set(key, row)
    }
  }

  #remember(key: Key): void {
    if (!this.#changed.has(key)) this.#changed.set(key, this.#rows.get(key))
  }
}
