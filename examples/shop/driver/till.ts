// The tills in the street: programs that were sold years ago, and that nobody deploys anew. They know the inventory as it was, and ask the first version
// of its call, while the checkout asks the second.
import { z } from 'zod'
import type { Invoice } from '../orders/contract.ts'
import { wantedIn } from '../products.ts'
import { call, context, type Queue, type RunningService } from '../spillway.ts'
import type { HandIn } from './send.ts'

/** The contract that the tills were built with: in a business of its own it would be an older release of the package that holds it. */
const inventory = context('inventory', {
  calls: {
    shortage: call({
      input: z.object({
        lines: z.array(z.object({ product: z.string(), pieces: z.int().nonnegative() })).max(10_000),
      }),
      output: z.object({ pieces: z.int().nonnegative() }),
      deadline: '500ms',
    }),
  },
})

/** Who wants so many of one thing is told at the till when they have to be bought first. */
const many = 48

export interface Tills {
  readonly handIn: HandIn
  /** How many customers were told at once that their goods are there, and how many that they have to come in. */
  readonly told: { there: number; toComeIn: number }
}

/** `asking`: in whose name. */
export function tills(
  asking: Pick<RunningService<unknown>, 'call'>,
  intake: Pick<Queue<Invoice>, 'send'>,
): Tills {
  const told = { there: 0, toComeIn: 0 }
  return {
    told,
    async handIn(invoice, id) {
      const lines = wantedIn(invoice)
      if (lines.some(({ pieces }) => pieces >= many)) {
        const asked = await asking.call(inventory.calls.shortage, { lines })
        if (asked.status === 'ok') told[asked.value.pieces > 0 ? 'toComeIn' : 'there'] += 1
      }
      await intake.send(invoice, { id })
    },
  }
}
