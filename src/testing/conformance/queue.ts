// The conformance suite of the queue port.

import type { QueueCase } from './queue/bench.ts'
import { claimCases } from './queue/claim.ts'
import { concurrencyCases } from './queue/concurrency.ts'
import { countCases } from './queue/count.ts'
import { deadCases } from './queue/dead.ts'
import { declareCases } from './queue/declare.ts'
import { delayCases } from './queue/delay.ts'
import { leaseCases } from './queue/lease.ts'
import { sendCases } from './queue/send.ts'
import { settleCases } from './queue/settle.ts'

export const queueSuite: readonly QueueCase[] = [
  ...declareCases,
  ...sendCases,
  ...delayCases,
  ...claimCases,
  ...leaseCases,
  ...settleCases,
  ...deadCases,
  ...countCases,
  ...concurrencyCases,
]
