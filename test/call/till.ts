// The contract of what is killed in tests, and its table.
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

/** Where sales stand in the PostgreSQL of this url. */
export function saleTable(url: string): string {
  return `${new URL(url).searchParams.get('schema')}_sale`
}
