// The conformance suite of the queue port.

import type { QueueCase } from './queue/bench.ts'
import { claimCases } from './queue/claim.ts'
import { concurrencyCases } from './queue/concurrency.ts'
import { controlCases } from './queue/control.ts'
import { cancelCases } from './queue/control-cancel.ts'
import { pauseCases } from './queue/control-pause.ts'
import { peekCases } from './queue/control-peek.ts'
import { purgeCases } from './queue/control-purge.ts'
import { countCases } from './queue/count.ts'
import { deadCases } from './queue/dead.ts'
import { declareCases } from './queue/declare.ts'
import { delayCases } from './queue/delay.ts'
import { finishedCases } from './queue/finished.ts'
import { leaseCases } from './queue/lease.ts'
import { nameCases } from './queue/names.ts'
import { progressCases } from './queue/progress.ts'
import { redrivenCases } from './queue/redriven.ts'
import { concurrencyRuleCases } from './queue/rules-concurrency.ts'
import { ruleDeclareCases } from './queue/rules-declare.ts'
import { dedupCases } from './queue/rules-dedup.ts'
import { dedupTimeCases } from './queue/rules-dedup-time.ts'
import { flowCases } from './queue/rules-flow.ts'
import { flowDagCases } from './queue/rules-flow-dag.ts'
import { flowGoneCases } from './queue/rules-flow-gone.ts'
import { flowLineCases } from './queue/rules-flow-line.ts'
import { groupCases } from './queue/rules-groups.ts'
import { groupConcurrencyCases } from './queue/rules-groups-concurrency.ts'
import { keyOrderCases } from './queue/rules-key-order.ts'
import { keyOrderRaceCases } from './queue/rules-key-order-race.ts'
import { rulesMissingCases } from './queue/rules-missing.ts'
import { priorityCases } from './queue/rules-priority.ts'
import { rateCases } from './queue/rules-rate.ts'
import { togetherCases } from './queue/rules-together.ts'
import { scheduleCases } from './queue/schedules.ts'
import { sendCases } from './queue/send.ts'
import { settleCases } from './queue/settle.ts'
import { historyCases, suspectCases } from './queue/suspect.ts'

export const queueSuite: readonly QueueCase[] = [
  ...declareCases,
  ...nameCases,
  ...sendCases,
  ...delayCases,
  ...claimCases,
  ...leaseCases,
  ...settleCases,
  ...deadCases,
  ...redrivenCases,
  ...countCases,
  ...concurrencyCases,
  ...suspectCases,
  ...historyCases,
  ...ruleDeclareCases,
  ...rulesMissingCases,
  ...keyOrderCases,
  ...keyOrderRaceCases,
  ...priorityCases,
  ...dedupCases,
  ...dedupTimeCases,
  ...groupCases,
  ...groupConcurrencyCases,
  ...concurrencyRuleCases,
  ...rateCases,
  ...flowCases,
  ...flowGoneCases,
  ...flowLineCases,
  ...flowDagCases,
  ...togetherCases,
  ...controlCases,
  ...pauseCases,
  ...peekCases,
  ...cancelCases,
  ...purgeCases,
  ...scheduleCases,
  ...finishedCases,
  ...progressCases,
]
