// From a contract to the rules that its queue is declared with, and to what each of its messages carries for them.
import { retryPolicy } from '../core/backoff.ts'
import type { QueueContract } from '../core/contract.ts'
import { type Duration, milliseconds } from '../core/duration.ts'
import { SpillwayError } from '../core/errors.ts'
import { missing, type QueueCapabilities } from '../ports/capability.ts'
import type { QueuePort } from '../ports/queue.ts'
import { checkRules, maxRuleMs, type QueueRules } from '../ports/queue-rules.ts'

/** The rules of a contract; those of one that asks for nothing are `{}`, which take away what the queue had before. */
export function rulesOf(contract: QueueContract): QueueRules {
  const { key, priority, dedup, group, groupConcurrency, maxConcurrency, rate, flow, keepFinished } = contract
  return {
    ...(key === undefined ? {} : { keyOrder: true }),
    ...(priority === undefined ? {} : { priority: true }),
    ...(dedup === undefined ? {} : { dedup: true }),
    ...(group === undefined ? {} : { groups: { concurrency: groupConcurrency } }),
    ...(maxConcurrency === undefined ? {} : { concurrency: maxConcurrency }),
    ...(rate === undefined ? {} : { rate: { count: rate.count, perMs: milliseconds(rate.per, 'rate.per') } }),
    ...(flow === undefined ? {} : { flow }),
    ...(keepFinished === undefined ? {} : { finished: finishedRule(keepFinished) }),
  }
}

function finishedRule(keep: NonNullable<QueueContract['keepFinished']>): NonNullable<QueueRules['finished']> {
  return {
    ...(keep.count === undefined ? {} : { count: keep.count }),
    ...(keep.for === undefined ? {} : { forMs: milliseconds(keep.for, 'keepFinished.for') }),
  }
}

/**
 * The same, refused by the name of the queue when the engine cannot hold them; whatever else of the contract cannot work is refused
 * here too, before its first message. Asks the engine for nothing.
 */
export function checkedRules(
  engine: string,
  { capabilities }: QueuePort,
  contract: QueueContract,
): QueueRules {
  const rules = rulesOf(contract)
  checkRules(engine, capabilities, rules, contract.queue)
  checkTimes(contract)
  return rules
}

function checkTimes({ ttl, dedup, deadline, retry }: QueueContract): void {
  const forDedup = typeof dedup === 'object' ? dedup.for : undefined
  for (const [name, time, most] of [
    ['ttl', ttl, Number.POSITIVE_INFINITY],
    ['dedup.for', forDedup, maxRuleMs],
    ['deadline', deadline, Number.POSITIVE_INFINITY],
  ] as const) {
    if (time === undefined) continue
    const ms = milliseconds(time, name)
    if (ms < 1 || ms > most)
      throw new SpillwayError('INVALID_OPTION', `${name} is ${ms} ms; it takes from 1 to ${most}.`)
  }
  retryPolicy(retry)
}

/** Makes queues exist with the rules of their contracts. Nothing is declared when one of them is refused. */
export async function declareQueues(
  engine: string,
  port: QueuePort,
  contracts: readonly QueueContract[],
): Promise<void> {
  const plain: string[] = []
  const ruled: { readonly queue: string; readonly rules: QueueRules }[] = []
  for (const contract of contracts) {
    const rules = checkedRules(engine, port, contract)
    if (Object.keys(rules).length === 0) plain.push(contract.queue)
    else ruled.push({ queue: contract.queue, rules })
  }
  if (plain.length > 0) await port.declare(plain, {})
  for (const { queue, rules } of ruled) await port.declare([queue], rules)
}

/** Throws when the engine cannot send for a later time. */
export function checkDelay(
  engine: string,
  capabilities: QueueCapabilities,
  options: { readonly delay?: Duration; readonly at?: Date },
): void {
  if ((options.delay !== undefined || options.at !== undefined) && !capabilities.delay)
    throw missing(engine, 'queue', 'delay')
}
