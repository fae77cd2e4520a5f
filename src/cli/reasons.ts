// Why letters died: which have a text in their reason, and many in few lines, how many died of what. Numbers and ids in a reason do not make it another one.
import { print, printJson, printTable, styled } from './output/print.ts'
import { ago, count } from './output/words.ts'

/** What a summary asks of a dead letter. */
export interface Died {
  /** By which a command names it. */
  readonly handle: string
  readonly reason: string
  /** Undefined where nobody wrote it down. */
  readonly diedAt: number | undefined
}

export interface Cause {
  /** With `#` for what differs. */
  readonly reason: string
  readonly count: number
  readonly first: number | undefined
  readonly last: number | undefined
  /** One of them, to look into. */
  readonly handle: string
}

/** Reasons beyond so many different ones are counted together. */
const mostCauses = 1_000
const others = 'other reasons'

export class Causes {
  readonly #found = new Map<string, Cause>()

  add({ handle, reason, diedAt }: Died): void {
    const text = sameFor(reason)
    const name = this.#found.has(text) || this.#found.size < mostCauses ? text : others
    const known = this.#found.get(name)
    this.#found.set(name, {
      reason: name,
      count: (known?.count ?? 0) + 1,
      first: least(known?.first, diedAt),
      last: most(known?.last, diedAt),
      handle: known?.handle ?? handle,
    })
  }

  /** The most frequent first. */
  get all(): Cause[] {
    return [...this.#found.values()].sort((a, b) => b.count - a.count)
  }
}

/** Whether a reason has this text in it, however it is written. */
export function hasReason(text: string | undefined): (dead: { readonly reason: string }) => boolean {
  const sought = text?.toLowerCase()
  return ({ reason }) => sought === undefined || reason.toLowerCase().includes(sought)
}

/** A UUID, a hexadecimal number of eight digits and more, a number. */
function sameFor(reason: string): string {
  return reason
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '#')
    .replace(/\b(?=[a-f]*\d)(?:0x)?[0-9a-f]{8,}\b/gi, '#')
    .replace(/\d+(?:[.,:]\d+)*/g, '#')
}

const least = (a: number | undefined, b: number | undefined) =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)
const most = (a: number | undefined, b: number | undefined) =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b)

/** `of` names what they are the dead letters of, for programs. */
export async function printCauses(
  causes: readonly Cause[],
  of: Readonly<Record<string, string>>,
  json: boolean | undefined,
): Promise<void> {
  if (json) return printJson({ ...of, reasons: causes.map(asJson) })
  if (causes.length === 0) return print(`No dead letters of ${Object.values(of).join(' for ')}.`)
  await printTable(
    [
      { title: 'COUNT', right: true, value: (each) => count(each.count) },
      { title: 'FIRST', value: ({ first }) => (first === undefined ? '' : ago(first)) },
      { title: 'LAST', value: ({ last }) => (last === undefined ? '' : ago(last)) },
      { title: 'ONE OF THEM', value: ({ handle }) => handle },
      { title: 'REASON', rest: true, value: ({ reason }) => reason },
    ],
    causes,
  )
  await print(styled('dim', '# stands for numbers and ids; --reason takes any part of the text as it was'))
}

function asJson({ reason, count, first, last, handle }: Cause) {
  return { reason, count, first: time(first), last: time(last), handle }
}

function time(of: number | undefined): string | null {
  return of === undefined ? null : new Date(of).toISOString()
}
