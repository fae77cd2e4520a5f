// The limit of the disk: a file that is only appended to, one write and one fdatasync for each call, with the bytes of
// the records that Spillway stores.
import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Payload } from '../workloads/payload.ts'
import { type Encoding, encoded, encoder } from './encoded.ts'
import type { StreamSystem } from './system.ts'

const folderOf = (place: string) => join(place, 'bare-file')

export const bareFile = (encoding: Encoding): StreamSystem => ({
  reads: false,
  clear: (place) => rm(folderOf(place), { recursive: true, force: true }),
  async open(place) {
    mkdirSync(folderOf(place), { recursive: true })
    const file = openSync(join(folderOf(place), 'records'), 'a')
    const bytesOfMany = encoder(encoding, encoded)
    const bytesOfOne = encoder(encoding, (payload: Payload) => encoded([payload]))
    const append = (bytes: Buffer) => {
      writeSync(file, bytes)
      fdatasyncSync(file)
    }
    return {
      durability: 'power-loss: fdatasync after every write',
      append: async (payload) => append(bytesOfOne(payload)),
      appendMany: async (payloads) => append(bytesOfMany(payloads)),
      close: async () => closeSync(file),
    }
  },
})
