import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Window, type WindowEntry } from './window.ts'

/** The model: a plain list, from which everything is worked out anew. */
interface Model {
  entries: { position: number; producer: string | undefined; sequence: number; finished: boolean }[]
  cursor: number
}

function modelMark(model: Model, also?: number) {
  const open = model.entries.findIndex((entry) => !entry.finished && entry.position !== also)
  const below = open < 0 ? model.entries : model.entries.slice(0, open)
  const sequences: Record<string, number> = {}
  for (const { producer, sequence } of below)
    if (producer) sequences[producer] = Math.max(sequences[producer] ?? 0, sequence)
  return { low: open < 0 ? model.cursor : model.entries[open]!.position, sequences }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    gap: fc.integer({ min: 0, max: 3 }),
    producer: fc.constantFrom(undefined, 'a', 'b'),
  }),
  fc.record({ kind: fc.constant('finish' as const), pick: fc.nat(1_000) }),
)

test('low and sequences are those of the model, whatever finishes in whatever order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.nat(50), (steps, start) => {
      const window = new Window(start)
      const model: Model = { entries: [], cursor: start }
      const entries: WindowEntry[] = []
      let sequence = 0
      for (const act of steps) {
        if (act.kind === 'add') {
          const position = model.cursor + act.gap
          sequence += 1
          entries.push(window.add(position, act.producer, act.producer ? sequence : 0))
          model.entries.push({ position, producer: act.producer, sequence, finished: false })
          model.cursor = position + 1
        } else if (entries.length > 0) {
          const entry = entries[act.pick % entries.length]!
          expect(window.markWith(entry)).toEqual(modelMark(model, entry.position))
          window.finish(entry)
          model.entries.find(({ position }) => position === entry.position)!.finished = true
        }
        const mark = modelMark(model)
        expect({ low: window.low, sequences: window.sequences }).toEqual(mark)
        expect(window.open).toBe(model.entries.filter((entry) => !entry.finished).length)
        expect(window.cursor).toBe(model.cursor)
      }
    }),
  )
})

test('a sequence counts as repeated once it was read, and after a restart only if it is below low', () => {
  const window = new Window(0)
  const first = window.add(0, 'relay', 7)
  window.add(1, 'relay', 8)
  expect(window.isRepeated('relay', 8)).toBe(true)
  expect(window.isRepeated('relay', 9)).toBe(false)
  expect(window.isRepeated('other', 1)).toBe(false)
  window.finish(first)
  const restarted = new Window(window.low, window.sequences)
  expect(restarted.isRepeated('relay', 7)).toBe(true)
  expect(restarted.isRepeated('relay', 8)).toBe(false)
})
