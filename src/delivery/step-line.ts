// The line of next hops that have much to end, to place again or to hand out: one step each, and so many a turn as a time
// allows.
//
// Place on the path: beside the ready queues, one a thread. A site that is down may have a thousand next hops with one
// batch each: a bound for each of them would bound nothing. Who asks again during its step has it in a later turn.
//
// What comes from the store asks for time here before it is handed out, too, where connections have become free: a long
// queue that drains would make each turn as long as all connections need, and who hands a message in waits for several turns.

import type { Clock } from '../base/index.ts'

/** What endings may take in a turn: more would keep sessions waiting. */
const endingsMs = 3
/** And what is handed out, before the steps and once more in them. */
const windowMsMin = 3
/**
 * Or this part of the time since the first who asked, when that was long: under a load that fills the thread, half of it is
 * for what is queued, or the queue would grow for ever.
 */
const turnShare = 1 / 4
const turnMsMax = 50

export interface StepMember {
  step(): void
}

/** See the head of the file. */
export class StepLine {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  /** Who ends or places again, and who hands out: one of each in turn, so that a site that is down holds up no other. */
  readonly #lines = { endings: new Set<StepMember>(), handOuts: new Set<StepMember>() } as const
  #isPlanned = false
  #plannedMs = 0
  /** Until then something may be handed out in this turn; null before the first asks. Monotonic. */
  #untilMs: number | null = null
  #ranMs = 0
  #windowMs = windowMsMin
  /** However late it is, one thing may be handed out in the steps of a turn. */
  #isGranted = false

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** A step in a turn to come; once, however often it is asked for until then. */
  add(member: StepMember): void {
    this.#lines.endings.add(member)
    this.#plan()
  }

  /** The same, for who was refused by {@link hasTime}. */
  addHandOut(member: StepMember): void {
    this.#lines.handOuts.add(member)
    this.#plan()
  }

  /** May more be handed out in this turn? */
  get hasTime(): boolean {
    if (this.#untilMs !== null) {
      const isGranted = this.#isGranted
      this.#isGranted = false
      return isGranted || this.#clock.monotonicMs() < this.#untilMs
    }
    this.#plan()
    const nowMs = this.#clock.monotonicMs()
    // A long turn of long ago says nothing about this one.
    const windowMs = nowMs - this.#ranMs > turnMsMax ? windowMsMin : this.#windowMs
    this.#untilMs = nowMs + windowMs
    return true
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#plannedMs = this.#clock.monotonicMs()
    setImmediate(() => this.#run())
  }

  #run(): void {
    this.#isPlanned = false
    const nowMs = this.#clock.monotonicMs()
    this.#windowMs = Math.max(windowMsMin, Math.min(turnMsMax, nowMs - this.#plannedMs) * turnShare)
    this.#ranMs = nowMs
    const untilMs = nowMs + this.#windowMs
    this.#untilMs = untilMs
    this.#isGranted = true
    const { endings, handOuts } = this.#lines
    // Those who are added meanwhile stand behind these.
    const left = { endings: endings.size, handOuts: handOuts.size }
    while (left.endings + left.handOuts > 0) {
      if (left.handOuts > 0) {
        left.handOuts--
        takeFirst(handOuts)?.step()
      }
      if (left.endings > 0) {
        left.endings--
        takeFirst(endings)?.step()
      }
      const atMs = this.#clock.monotonicMs()
      if (atMs >= nowMs + endingsMs) left.endings = 0
      if (atMs >= untilMs) break
    }
    this.#isGranted = false
    this.#untilMs = null
    if (endings.size + handOuts.size > 0) this.#plan()
  }
}

function takeFirst(line: Set<StepMember>): StepMember | undefined {
  for (const first of line) {
    line.delete(first)
    return first
  }
  return undefined
}
