// What the worker that dies and the test that watches it agree upon.
import { context, type QueueContract, queue, unchecked } from '../../src/index.ts'

export const work: QueueContract<string, string> = context('mill', {
  queues: { work: queue({ data: unchecked<string>(), retry: { attempts: 3, initial: '1ms' } }) },
}).queues.work

export const poison = 'poison'
/** One line for each start: the data of the message, and which start it was. */
export const journalFile = 'journal.txt'
