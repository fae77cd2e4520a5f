import { expect, test } from 'vitest'
import { type ClockMark, type MachineTime, machineTime, markOf, timeBy } from './boot-clock.ts'

const secondUs = 1_000_000
const noon = 1_800_000_000 * secondUs

function machine(boot: string, monotonicUs: number, wallUs: number): MachineTime {
  return { boot, monotonicUs: () => monotonicUs, wallUs: () => wallUs }
}

/** What it shows to a process that opens the file then, and the mark that it writes. */
function look(
  kept: ClockMark | undefined,
  time: MachineTime,
): { readonly mark: ClockMark; readonly nowUs: number } {
  const mark = markOf(kept, time)
  const nowUs = timeBy(mark, time)
  return { mark: { ...mark, lastUs: nowUs }, nowUs }
}

test('it begins at the wall clock and goes on by the monotonic one', () => {
  const first = look(undefined, machine('a', 5 * secondUs, noon))
  expect(first.nowUs).toBe(noon)
  expect(look(first.mark, machine('a', 7 * secondUs, noon + 2 * secondUs)).nowUs).toBe(noon + 2 * secondUs)
})

test.each([86_400, -86_400])('a step of the wall clock by %i s changes nothing within a boot', (step) => {
  const { mark } = look(undefined, machine('a', 5 * secondUs, noon))
  const stepped = machine('a', 6 * secondUs, noon + step * secondUs)
  expect(look(mark, stepped).nowUs).toBe(noon + secondUs)
  expect(markOf(mark, stepped)).toEqual(mark)
})

test('between two boots the wall clock goes on', () => {
  const { mark } = look(undefined, machine('a', 500 * secondUs, noon))
  // Also when the machine is up for longer by then than it was when it was last looked at.
  for (const monotonic of [3, 900])
    expect(look(mark, machine('b', monotonic * secondUs, noon + 3_600 * secondUs)).nowUs).toBe(
      noon + 3_600 * secondUs,
    )
})

test('a wall clock that is behind after a boot does not take it back', () => {
  const { mark } = look(undefined, machine('a', 500 * secondUs, noon))
  const after = look(mark, machine('b', 3 * secondUs, 0))
  expect(after.nowUs).toBe(noon)
  expect(look(after.mark, machine('b', 4 * secondUs, noon + 50 * secondUs)).nowUs).toBe(noon + secondUs)
})

test('where the machine has no word for a boot, a monotonic clock that is back tells of one', () => {
  const { mark } = look(undefined, machine('', 500 * secondUs, noon))
  expect(look(mark, machine('', 600 * secondUs, 0)).nowUs).toBe(noon + 100 * secondUs)
  expect(look(mark, machine('', 3 * secondUs, noon + 60 * secondUs)).nowUs).toBe(noon + 60 * secondUs)
})

test('the machine tells whole microseconds that go forth', () => {
  const [first, wall] = [machineTime.monotonicUs(), machineTime.wallUs()]
  expect(Number.isSafeInteger(first)).toBe(true)
  expect(machineTime.monotonicUs()).toBeGreaterThanOrEqual(first)
  expect(Math.abs(wall - Date.now() * 1_000)).toBeLessThan(60 * secondUs)
  if (process.platform === 'linux') expect(machineTime.boot).not.toBe('')
})
