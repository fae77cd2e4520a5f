// Copies the write-ahead log back into the database beside the storage thread, which goes on committing meanwhile.
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { pragma } from '../open-file.ts'

const { path, synchronous } = workerData as { readonly path: string; readonly synchronous: 'full' | 'off' }
const port = parentPort!
const db = new DatabaseSync(path, { timeout: 0 })
db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = 0`)
if (process.platform === 'darwin') db.exec('PRAGMA checkpoint_fullfsync = 1')

port.on('message', (message: 'checkpoint' | 'close') => {
  if (message === 'close') {
    db.close()
    port.close()
    return
  }
  try {
    pragma(db, 'wal_checkpoint(PASSIVE)')
  } catch {
    // A full disk or a lock: the storage thread's own checkpoint meets the same, and its commits report it.
  }
  port.postMessage('done')
})
