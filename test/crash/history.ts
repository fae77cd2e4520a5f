// The history checker: from what was sent and which effects there are to what was lost, doubled or out of order. Pure.
//
// A message is named by its id, and it is the message that counts, not the call: a sender that does not know the
// outcome of its send sends the same id again, and the inbox lets that have one effect. Where nothing recognises an id
// sent twice (an event appended directly to a stream) the sender never tries again.

export interface SentMessage {
  readonly id: string
  readonly key: string
  /** Rises by 1 with every message of the key. */
  readonly number: number
  /** Acknowledged to its sender, or committed to an outbox: it must have its effect. Otherwise it may have one. */
  readonly sure: boolean
}

/** One queue or one kind of event, from its senders to the effects of its one consumer. */
export interface Channel {
  readonly name: string
  /** Effects of one key must be in the order of its numbers. */
  readonly ordered: boolean
  readonly sent: readonly SentMessage[]
  /** The ids of the messages whose effects are stored, in the order in which they were committed. */
  readonly effects: readonly string[]
}

/** A stale holder's attempt to settle, extend or commit. */
export interface Probe {
  readonly act: string
  readonly accepted: boolean
}

export interface History {
  readonly rounds: number
  readonly kills: number
  readonly channels: readonly Channel[]
  readonly probes: readonly Probe[]
}

export interface Verdict {
  /** How often the run was disturbed: kills, and pauses beyond a lease. */
  readonly rounds: number
  readonly kills: number
  /** Messages that were surely sent, and those of unknown outcome that had their effect. */
  readonly sent: number
  /** Those of them that had their effect. */
  readonly handled: number
  /** Surely sent, and without effect. */
  readonly lost: number
  /** Effects beyond the one that a message may have. */
  readonly duplicated: number
  /** Effects of messages that nobody sent, or that were undone with their transaction. */
  readonly ghosts: number
  /** Effects that came after one with a higher number of the same key. */
  readonly outOfOrder: number
  readonly staleAcksAccepted: number
}

/** One violation, in words: for finding its cause. */
export interface Finding {
  readonly kind: 'lost' | 'duplicated' | 'ghosts' | 'outOfOrder' | 'staleAcksAccepted'
  readonly what: string
}

export function checkHistory(history: History): { readonly verdict: Verdict; readonly findings: Finding[] } {
  const findings: Finding[] = []
  const totals = { sent: 0, handled: 0 }
  for (const channel of history.channels) {
    const checked = checkChannel(channel, findings)
    totals.sent += checked.sent
    totals.handled += checked.handled
  }
  for (const { act, accepted } of history.probes)
    if (accepted) findings.push({ kind: 'staleAcksAccepted', what: `a stale ${act} was accepted` })
  const count = (kind: Finding['kind']) => findings.filter((finding) => finding.kind === kind).length
  const verdict = {
    rounds: history.rounds,
    kills: history.kills,
    ...totals,
    lost: count('lost'),
    duplicated: count('duplicated'),
    ghosts: count('ghosts'),
    outOfOrder: count('outOfOrder'),
    staleAcksAccepted: count('staleAcksAccepted'),
  }
  return { verdict, findings }
}

/** Several runs as one. */
export function sumOf(verdicts: readonly Verdict[]): Verdict {
  const sum = (name: keyof Verdict) => verdicts.reduce((total, verdict) => total + verdict[name], 0)
  return {
    rounds: sum('rounds'),
    kills: sum('kills'),
    sent: sum('sent'),
    handled: sum('handled'),
    lost: sum('lost'),
    duplicated: sum('duplicated'),
    ghosts: sum('ghosts'),
    outOfOrder: sum('outOfOrder'),
    staleAcksAccepted: sum('staleAcksAccepted'),
  }
}

export function isClean({ lost, duplicated, ghosts, outOfOrder, staleAcksAccepted }: Verdict): boolean {
  return lost + duplicated + ghosts + outOfOrder + staleAcksAccepted === 0
}

function checkChannel(channel: Channel, findings: Finding[]): { sent: number; handled: number } {
  const sent = byId(channel.sent)
  const handled = new Set<string>()
  /** Of every key the message with the highest number that had its effect, of those that were surely sent. */
  const last = new Map<string, SentMessage>()
  for (const id of channel.effects) {
    const message = sent.get(id)
    if (!message || handled.has(id)) {
      const finding: Finding = message
        ? { kind: 'duplicated', what: `${channel.name}: ${id} had its effect again` }
        : { kind: 'ghosts', what: `${channel.name}: ${id} had an effect and was never sent` }
      findings.push(finding)
      continue
    }
    handled.add(id)
    // Of an unknown outcome no order is promised: the next number may have been sent before this one was stored.
    if (!channel.ordered || !message.sure) continue
    const before = last.get(message.key)
    if (before && before.number > message.number)
      findings.push({ kind: 'outOfOrder', what: `${channel.name}: ${id} came after ${before.id}` })
    else last.set(message.key, message)
  }
  for (const { id, sure } of sent.values())
    if (sure && !handled.has(id))
      findings.push({ kind: 'lost', what: `${channel.name}: ${id} had no effect` })
  const counted = [...sent.values()].filter(({ id, sure }) => sure || handled.has(id))
  return { sent: counted.length, handled: handled.size }
}

/** A message that was sent more than once under its id is one, and sure if any of its sends is. */
function byId(sent: readonly SentMessage[]): Map<string, SentMessage> {
  const found = new Map<string, SentMessage>()
  for (const message of sent) if (message.sure || !found.has(message.id)) found.set(message.id, message)
  return found
}
