// Faults of the answers to calls, planted in front of the in-memory database.
import type { InboxEntry } from '../../../src/ports/database.ts'
import { committing, fault, type RowsDatabase } from './database.ts'
import type { Fault } from './fault.ts'

type Stored = Map<string, string>
const addressOf = (consumer: string, id: string) => `${consumer} ${id}`

/** The answer of a unit goes by another way than the rest of it. */
function apart(
  store: (answers: Stored, inbox: Required<InboxEntry>, database: RowsDatabase) => string | undefined,
) {
  return () => {
    const answers: Stored = new Map()
    return (database: RowsDatabase): Partial<RowsDatabase> => ({
      async commit(unit) {
        const { inbox } = unit
        if (inbox?.answer === undefined) return database.commit(unit)
        const { answer: _, ...entry } = inbox
        const early = store(answers, inbox as Required<InboxEntry>, database)
        const outcome = await database.commit({ ...unit, inbox: entry })
        if (outcome === 'committed')
          answers.set(addressOf(entry.consumer, entry.ids[0]!), early ?? inbox.answer())
        return outcome
      },
      answer: async (consumer, id) => answers.get(addressOf(consumer, id)),
    })
  }
}

/** The answer is made into another text. */
const written = (change: (text: string) => string) => () =>
  committing((unit) => {
    const { inbox } = unit
    if (inbox?.answer === undefined) return unit
    const { answer } = inbox
    return { ...unit, inbox: { ...inbox, answer: () => change(answer()) } }
  })

export const answerFaults: readonly Fault<RowsDatabase>[] = [
  fault('effects without their answer', ['database.answer.stored', 'database.answer.without-effects'], () =>
    committing((unit) => {
      const { inbox } = unit
      return inbox === undefined ? unit : { ...unit, inbox: { consumer: inbox.consumer, ids: inbox.ids } }
    }),
  ),
  fault(
    'an answer without its effects: it is stored first',
    ['database.answer.fails'],
    apart((answers, { consumer, ids, answer }) => {
      answers.set(addressOf(consumer, ids[0]!), answer())
      return undefined
    }),
  ),
  fault(
    'an answer is stored after its effects, in a transaction of its own: what it throws leaves them',
    ['database.answer.fails'],
    apart(() => undefined),
  ),
  fault(
    'the answer is asked for before the effects run',
    ['database.answer.after-effects'],
    apart((_, { answer }) => answer()),
  ),
  fault('the last answer wins', ['database.answer.once'], () => {
    const answers: Stored = new Map()
    return (database) => ({
      async commit(unit) {
        const outcome = await database.commit(unit)
        const { inbox } = unit
        if (inbox?.answer) answers.set(addressOf(inbox.consumer, inbox.ids[0]!), inbox.answer())
        return outcome
      },
      answer: async (consumer, id) => answers.get(addressOf(consumer, id)),
    })
  }),
  fault('the second copy does not wait for the first', ['database.answer.concurrent'], () => {
    const under = new Set<string>()
    return (database) => ({
      async commit(unit) {
        const { inbox } = unit
        if (inbox === undefined) return database.commit(unit)
        const address = addressOf(inbox.consumer, inbox.ids[0]!)
        if (under.has(address)) return 'duplicate'
        under.add(address)
        await new Promise((resolve) => setTimeout(resolve, 20))
        return database.commit(unit).finally(() => under.delete(address))
      },
    })
  }),
  fault('answers are known by their key alone', ['database.answer.apart'], () => {
    const answers: Stored = new Map()
    return (database) => ({
      async commit(unit) {
        const { inbox } = unit
        if (inbox?.answer) answers.set(inbox.ids[0]!, inbox.answer())
        return database.commit(unit)
      },
      answer: async (_, id) => answers.get(id),
    })
  }),
  fault(
    'a long answer is cut',
    ['database.answer.texts'],
    written((text) => text.slice(0, 65_535)),
  ),
  fault('an empty answer is none', ['database.answer.texts'], () => (database) => ({
    answer: async (consumer, id) => (await database.answer(consumer, id)) || undefined,
  })),
  fault('answers are pruned too early', ['database.answer.pruned'], () => (database) => {
    let pruned = false
    return {
      prune: (before) => {
        pruned = true
        return database.prune(before)
      },
      answer: async (consumer, id) => (pruned ? undefined : database.answer(consumer, id)),
    }
  }),
  fault('answers outlive their entries', ['database.answer.pruned'], () => {
    const answers: Stored = new Map()
    return (database) => ({
      async answer(consumer, id) {
        const found = (await database.answer(consumer, id)) ?? answers.get(addressOf(consumer, id))
        if (found !== undefined) answers.set(addressOf(consumer, id), found)
        return found
      },
    })
  }),
]
