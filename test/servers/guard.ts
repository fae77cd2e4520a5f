/**
 * Cleans up behind a test process that dies, however it dies: exit hooks do not run after SIGKILL, and handlers of our
 * own for SIGINT or uncaught exceptions would change the process under test.
 *
 * The guard is a small shell that reads a pipe from us. When the pipe closes, and the system closes it when we are
 * gone, it ends the last server it was told of and removes the folder.
 */
import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'

// A zombie counts as gone: in a container, whoever inherits the server may collect it late or never.
const SCRIPT = `
trap '' INT TERM HUP QUIT
alive() {
  kill -s 0 "$1" || return 1
  read -r stat < "/proc/$1/stat" || return 0
  case $stat in *') Z '*) return 1 ;; esac
}
pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 0 ]; then
  kill -s "$2" "$pid"
  tries=0
  while alive "$pid" && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL "$pid"
fi 2>/dev/null
rm -rf -- "$1"
`

export interface Guard {
  /** Names the process to end when we die; 0 when there is none at the moment. */
  watch(pid: number): void
  /** Removes the folder and ends the guard. The server must be down. */
  close(): Promise<void>
}

export function guard(folder: string, stopSignal: NodeJS.Signals): Guard {
  // In a session of its own: Ctrl-C in a terminal reaches the whole foreground group and must not reach the guard.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'guard', folder, stopSignal.replace('SIG', '')], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
  })
  const ended = new Promise<void>((resolve, reject) => {
    shell.once('exit', () => resolve())
    shell.once('error', reject)
  })
  ended.catch(() => {})
  const pipe = shell.stdin as Socket
  pipe.on('error', () => {})
  pipe.unref()
  shell.unref()
  return {
    watch: (pid) => void pipe.write(`${pid}\n`),
    async close() {
      shell.ref()
      pipe.end('0\n')
      await ended
    },
  }
}
