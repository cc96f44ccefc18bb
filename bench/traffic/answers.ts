/**
 * What the sink took and refused, recipient by recipient, and whether the other side can know it: a 250 that was never
 * handed to the socket before we cut the connection has to be followed by a second delivery, one that was read must not
 * be. So doubled mail is held against what explains it, not against a guess.
 */
import { nowMs } from './child.ts'

/** What is known of the answer to the newest arrival, or to the refusal, of a recipient. */
export const heardStates = { none: 0, heard: 1, unheard: 2, perhaps: 3 } as const

/**
 * An answer that was handed over so shortly before we cut the connection may be lost in the other side's buffers: a
 * write of its own that fails comes before the read.
 */
const perhapsMs = 1_000

/** Recipients that one reply told of; `handedMs` is null until the reply is written. */
interface Told {
  readonly kind: 'took' | 'refused'
  readonly numbers: readonly number[]
  handedMs: number | null
}

/** The answers of one sink. Numbers from `tracked` on are not told apart. */
export class Answers {
  /** Arrival of each tracked recipient (the first one), 0 before. */
  readonly arrivals: Float64Array
  /** Of the newest arrival, see heardStates. */
  readonly taken: Uint8Array
  /** Of the newest `550` that was handed over: `heard` or `perhaps`; none while no 550 was. */
  readonly refused: Uint8Array
  /** Tracked recipients that came more than once. */
  twice = 0
  /** Of these, came again although the answer before was handed over in time. */
  twiceHeard = 0
  /** Came again after an answer that may have been lost. */
  twicePerhaps = 0
  /** Arrivals whose 250 was not handed over before we cut the connection. */
  tookUnheard = 0

  constructor(tracked: number) {
    this.arrivals = new Float64Array(tracked)
    this.taken = new Uint8Array(tracked)
    this.refused = new Uint8Array(tracked)
  }

  /** Forgets arrivals; refusals stay. */
  forget(): void {
    this.arrivals.fill(0)
    this.taken.fill(heardStates.none)
    this.twice = 0
    this.twiceHeard = 0
    this.twicePerhaps = 0
    this.tookUnheard = 0
  }

  /** A connection's part. */
  session(): AnswerSession {
    return new AnswerSession(this)
  }

  took(number: number, atMs: number): void {
    if (number >= this.arrivals.length) return
    if (this.arrivals[number] === 0) this.arrivals[number] = atMs
    else {
      this.twice++
      if (this.taken[number] === heardStates.heard) this.twiceHeard++
      else if (this.taken[number] === heardStates.perhaps) this.twicePerhaps++
    }
    this.taken[number] = heardStates.heard
  }
}

/** The answers on one connection, until they are known to have been read. */
export class AnswerSession {
  readonly #answers: Answers
  #open: Told[] = []
  /** What still comes out of the socket's buffers is nobody's. */
  isCut = false

  constructor(answers: Answers) {
    this.#answers = answers
  }

  /** The content was taken; its 250 is still to be written. */
  took(numbers: readonly number[], atMs: number): void {
    for (const number of numbers) this.#answers.took(number, atMs)
    this.#open.push({ kind: 'took', numbers, handedMs: null })
  }

  /** A 550 is still to be written. */
  refuse(number: number): void {
    this.#open.push({ kind: 'refused', numbers: [number], handedMs: null })
  }

  /** The replies so far were given to the socket. */
  handedOver(): void {
    if (this.#open.length === 0) return
    const atMs = nowMs()
    this.#open = this.#open.filter(one => one.handedMs === null || atMs - one.handedMs < perhapsMs)
    for (const one of this.#open) {
      if (one.handedMs !== null) continue
      one.handedMs = atMs
      if (one.kind === 'refused') this.#mark(this.#answers.refused, one.numbers, heardStates.heard)
    }
  }

  /** The other side did what follows only on our replies: it sends the content that a 354 asked for. */
  wereRead(): void {
    if (this.#open.length > 0) this.#open = this.#open.filter(one => one.handedMs === null)
  }

  /** We cut the connection. */
  cut(): void {
    const answers = this.#answers
    const atMs = nowMs()
    for (const { kind, numbers, handedMs } of this.#open) {
      if (handedMs === null) {
        if (kind === 'took') answers.tookUnheard += this.#mark(answers.taken, numbers, heardStates.unheard)
      } else if (atMs - handedMs < perhapsMs)
        this.#mark(kind === 'took' ? answers.taken : answers.refused, numbers, heardStates.perhaps)
    }
    this.#open = []
    this.isCut = true
  }

  /** @returns how many of them are tracked. */
  #mark(states: Uint8Array, numbers: readonly number[], state: number): number {
    let tracked = 0
    for (const number of numbers) {
      if (number >= states.length) continue
      states[number] = state
      tracked++
    }
    return tracked
  }
}
