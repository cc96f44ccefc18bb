// The ready queue of one egress path: what is due now, in memory, in the order in which it should leave.
//
// Place on the path: between the lease (or a just-committed submission) and the attempt. Ten lanes, 0 the most urgent.
// Seven of eight turns go to the most urgent lane that has something; every eighth goes round the others, so that
// urgent mail overtakes and nothing starves. It is bounded from outside (room.ts): the whole engine shares one bound.
// There may be tens of thousands of queues, nearly all with a few batches of one sender: such a one has no lanes.

import type { ReadyBatch } from './batch.ts'
import { Lane } from './lane.ts'

/** Lanes, 0 to 9. */
export const laneCount = 10
/** Every so many turns another lane than the most urgent is served. */
const turnsForOthers = 8
/** So many of one sender need no lanes. */
const fewMax = 16
const none: never[] = []

/** Due batches of one egress path. */
export class ReadyQueue<B extends ReadyBatch = ReadyBatch> {
  /** While there are few, all of one sender and lane, they stand here in order, and there are no lanes. */
  #few: B[] = none
  #lanes: (Lane<B> | undefined)[] = none
  #size = 0
  #recipients = 0
  #turn = 0
  #nextOther = 0

  /** Batches waiting. */
  get size(): number {
    return this.#size
  }

  /** Recipients waiting. */
  get recipients(): number {
    return this.#recipients
  }

  push(batch: B): void {
    this.#recipients += batch.recipients.length
    if (this.#size++ === 0) this.#few = [batch]
    else if (this.#isAnotherFew(batch)) this.#few.push(batch)
    else this.#lane(batch).push(batch)
  }

  /** Puts a batch back before the others of its sender: it was taken and must be sent again. */
  putBack(batch: B): void {
    this.#recipients += batch.recipients.length
    if (this.#size++ === 0) this.#few = [batch]
    else if (this.#isAnotherFew(batch)) this.#few.unshift(batch)
    else this.#lane(batch).putBack(batch)
  }

  /** Takes the next one. */
  shift(): B | undefined {
    const batch = this.#next()
    if (batch !== undefined) this.#recipients -= batch.recipients.length
    return batch
  }

  #next(): B | undefined {
    if (this.#size === 0) return undefined
    this.#size--
    if (this.#few.length > 0) {
      const batch = this.#few.shift()
      if (this.#size === 0) this.#few = none
      return batch
    }
    const first = this.#firstFrom(0)
    const isOthersTurn = ++this.#turn % turnsForOthers === 0
    const chosen = isOthersTurn ? this.#other(first) : first
    const batch = this.#lanes[chosen]!.shift()
    if (this.#size === 0) this.#lanes = none
    return batch
  }

  /** Shows everything, in no order. */
  each(show: (batch: B) => void): void {
    for (const batch of this.#few) show(batch)
    for (const lane of this.#lanes) lane?.each(show)
  }

  /** Takes everything, in order. */
  drain(): B[] {
    const taken: B[] = []
    for (let batch = this.shift(); batch !== undefined; batch = this.shift()) taken.push(batch)
    return taken
  }

  #isAnotherFew({ message }: B): boolean {
    const [first] = this.#few
    if (first === undefined || this.#few.length >= fewMax) return false
    const { accountKey, streamKey, priority } = first.message
    return (
      message.accountKey === accountKey && message.streamKey === streamKey && message.priority === priority
    )
  }

  /** The lane of a batch that is not one of a few any more. */
  #lane(batch: B): Lane<B> {
    if (this.#few.length > 0) {
      this.#lanes = new Array<Lane<B> | undefined>(laneCount).fill(undefined)
      for (const one of this.#few) this.#laneAt(one).push(one)
      this.#few = none
    }
    return this.#laneAt(batch)
  }

  #laneAt({ message }: B): Lane<B> {
    const index = Math.min(Math.max(Math.trunc(message.priority), 0), laneCount - 1)
    const lane = this.#lanes[index]
    if (lane !== undefined) return lane
    const made = new Lane<B>()
    this.#lanes[index] = made
    return made
  }

  #firstFrom(start: number): number {
    for (let index = start; index < laneCount; index++) {
      if ((this.#lanes[index]?.size ?? 0) > 0) return index
    }
    return -1
  }

  /** The next lane in the round that is not the most urgent one; that one when it is alone. */
  #other(first: number): number {
    let found = this.#firstFrom(Math.max(this.#nextOther, first + 1))
    if (found < 0) found = this.#firstFrom(first + 1)
    if (found < 0) return first
    this.#nextOther = (found + 1) % laneCount
    return found
  }
}
