// The contract of what is killed in tests.
import { call, context, unchecked } from '../../src/index.ts'

export const till = context('till', {
  calls: {
    sell: call({
      kind: 'command',
      input: unchecked<{ item: string }>(),
      output: unchecked<{ number: number }>(),
    }),
  },
})
