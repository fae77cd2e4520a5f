/** Whether a process lives, who its children are, and how to end it together with them. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

interface Status {
  readonly pid: number
  readonly parent: number
  readonly zombie: boolean
}

/** Alive means it can still do something: a zombie that nobody has collected yet counts as gone. */
export function isAlive(pid: number): boolean {
  if (process.platform === 'linux') return statusOf(pid)?.zombie === false
  return signal(pid, 0)
}

/** Resolves to whether all of them were gone within the time given. */
export async function gone(pids: readonly number[], withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs
  while (pids.some(isAlive)) {
    if (performance.now() > end) return false
    await delay(10)
  }
  return true
}

/** SIGKILL for the process and everything below it. Resolves when all are gone. */
export async function killTree(pid: number): Promise<void> {
  // Stopped first, so that it cannot fork a child we have not seen. The children matter: a PostgreSQL backend
  // outlives its postmaster long enough to finish a commit.
  signal(pid, 'SIGSTOP')
  const family = [pid, ...descendants(pid)]
  for (const member of family) signal(member, 'SIGKILL')
  if (!(await gone(family, 10_000)))
    throw new Error(`Process ${pid} or a child of it survived SIGKILL for 10 s`)
}

/** Sends a signal; false when there is no such process. */
export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

export function descendants(pid: number): number[] {
  const found = [pid]
  const all = processes()
  for (let i = 0; i < found.length; i++) {
    for (const one of all) if (one.parent === found[i] && !one.zombie) found.push(one.pid)
  }
  return found.slice(1)
}

function processes(): Status[] {
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((entry) =>
      /^\d+$/.test(entry) ? (statusOf(Number(entry)) ?? []) : [],
    )
  }
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => {
      const [pid = 0, parent = 0] = line.trim().split(/\s+/).map(Number)
      return { pid, parent, zombie: false }
    })
}

function statusOf(pid: number): Status | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { pid, parent: Number(parent), zombie: state === 'Z' || state === 'X' }
  } catch {
    return undefined
  }
}
