// When a next hop opens no further connections: until the next tick, or while it stands in line for a host or a place.
//
// Place on the path: the next hop asks before it opens, and tells what became of its openings.
//
// What happened                         on                                 off
// an opening came to naught at once     in the same breath it would again  next tick
// all its hosts or all places are full  it stands in line to be told       told, or after a time that grows with the line
// its hosts were forgotten                                                 next tick: what waits is to be placed again

/**
 * Who stands in line is told. It looks by itself only after this time, since plans change, and so much later for each
 * before it: ten thousand that look each second would hold up everything else.
 */
const lookAfterMs = 10_000
const lookSpreadMs = 2

/** See the head of the file. */
export class GrowthPause {
  #isOn = false
  /** Until then it stands in line and need not look by itself. */
  #inLineUntilMs = 0
  #hasLookedAgain = false

  get isOn(): boolean {
    return this.#isOn
  }

  /** On or off until the next tick. */
  set(isOn: boolean): void {
    this.#isOn = isOn
  }

  /** `ahead`: how many stand there before it. */
  standInLine(nowMs: number, ahead: number): void {
    this.#isOn = true
    this.#inLineUntilMs = nowMs + lookAfterMs + ahead * lookSpreadMs
    this.#hasLookedAgain = false
  }

  /** Before it stands in line, it may look a second time: true once. */
  looksAgain(): boolean {
    const isFirst = !this.#hasLookedAgain
    this.#hasLookedAgain = true
    return isFirst
  }

  /** It has a connection: nobody need tell it of one. */
  leaveLine(): void {
    this.#inLineUntilMs = 0
    this.#hasLookedAgain = false
  }

  /** It was told that there is room. */
  end(): void {
    this.#isOn = false
    this.leaveLine()
  }

  tick(nowMs: number, areHostsKnown: boolean): void {
    this.#isOn = nowMs < this.#inLineUntilMs && areHostsKnown
  }
}
