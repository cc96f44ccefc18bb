// The line of next hops that have much to end or to place again: one step each, and so many a turn as a time allows.
//
// Place on the path: beside the ready queues, one a thread. A site that is down may have a thousand next hops with one
// batch each: a bound for each of them would bound nothing. Who asks again during its step has it in a later turn.

import type { Clock } from '../base/index.ts'

/** Longer than this, what the steps make would keep sessions waiting. */
const turnMs = 3

export interface StepMember {
  step(): void
}

/** See the head of the file. */
export class StepLine {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #members = new Set<StepMember>()
  #isPlanned = false

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** A step in a turn to come; once, however often it is asked for until then. */
  add(member: StepMember): void {
    this.#members.add(member)
    this.#plan()
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => this.#run())
  }

  #run(): void {
    this.#isPlanned = false
    const untilMs = this.#clock.monotonicMs() + turnMs
    // Those who are added meanwhile stand behind these.
    let left = this.#members.size
    for (const member of this.#members) {
      if (left-- === 0) break
      this.#members.delete(member)
      member.step()
      if (this.#clock.monotonicMs() >= untilMs) break
    }
    if (this.#members.size > 0) this.#plan()
  }
}
