// The schedules of one queue in memory: the state that a version names is changed together with what it sends.
import {
  maxDueSchedules,
  maxSchedules,
  notForward,
  type ScheduleChange,
  type ScheduleList,
  type StoredSchedule,
  tooManySchedules,
  type WhichSchedules,
} from '../../ports/queue-schedules.ts'
import { engineName } from './limits.ts'

export class Schedules {
  readonly #byName = new Map<string, StoredSchedule>()
  #version = 0

  list(which: WhichSchedules, now: number, paused: boolean): ScheduleList {
    const all = [...this.#byName.values()]
    const later = all.filter(({ due }) => due > now).map(({ due }) => due)
    const nextDue = paused || later.length === 0 ? undefined : Math.min(...later)
    if (which === 'all') return { now, nextDue, schedules: all.sort((a, b) => (a.name < b.name ? -1 : 1)) }
    if (typeof which === 'object' && 'name' in which)
      return { now, nextDue, schedules: all.filter(({ name }) => name === which.name) }
    const besides = new Set(which === 'due' ? [] : which.dueBesides)
    const due = paused ? [] : all.filter(({ due, version }) => due <= now && !besides.has(version))
    return { now, nextDue, schedules: due.sort((a, b) => a.due - b.due).slice(0, maxDueSchedules) }
  }

  /** `send` throws before anything is done, or does it all. */
  put({ name, spec, due, last, version }: ScheduleChange, send: () => void): 'stored' | 'stale' {
    const known = this.#byName.get(name)
    if (known?.version !== version) return 'stale'
    const lastOfAll = last ?? known?.last
    if (lastOfAll !== undefined && due <= lastOfAll) throw notForward(engineName, name, due, lastOfAll)
    if (known === undefined && this.#byName.size >= maxSchedules) throw tooManySchedules(engineName, name)
    send()
    this.#byName.set(name, { name, spec, due, last: lastOfAll, version: ++this.#version })
    return 'stored'
  }

  remove(name: string): boolean {
    return this.#byName.delete(name)
  }
}
