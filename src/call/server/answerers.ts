// What answers the calls of one service.
import type { UnitHome } from '../../transaction/unit.ts'
import { commandAnswerer, type Together } from './answer-command.ts'
import { type Answerer, type Answering, queryAnswerer } from './answerer.ts'

export function answerersOf<Db>(
  home: UnitHome<Db>,
  answers: readonly Answering<Db>[],
  counted: Together['counted'] = (work) => work,
): Answerer[] {
  const together = { flights: new Map<string, Promise<unknown>>(), counted }
  return answers.map(({ call, options, query, command }) =>
    query
      ? queryAnswerer(home, call, query, options)
      : commandAnswerer(home, call, command, options, together),
  )
}
