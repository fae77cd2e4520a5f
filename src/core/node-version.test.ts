import { expect, test } from 'vitest'
import { nodeTooOld } from './node-version.ts'

test.each(['20.20.2', '22.18.0', '18.0.0'])('Node %s is refused by name', (version) => {
  expect(nodeTooOld(version)).toContain(`needs Node 22.19 or newer; this is Node ${version}`)
})

test.each(['22.19.0', '24.0.0', '26.1.0', process.versions.node])('Node %s will do', (version) => {
  expect(nodeTooOld(version)).toBeUndefined()
})
