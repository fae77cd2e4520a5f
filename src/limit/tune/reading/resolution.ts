// How fine the time stamps of a log are: the largest round unit that divides all of them.

const units = [86_400e6, 3_600e6, 60e6, 1e6, 1e5, 1e4, 1e3, 100, 10, 1]

export class Resolution {
  #unit = 0

  add(time: number): void {
    while (time % units[this.#unit]! !== 0) this.#unit += 1
  }

  get micros(): number {
    return units[this.#unit]!
  }
}
