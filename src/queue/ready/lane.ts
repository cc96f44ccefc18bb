// One lane of the ready queue: fair between senders, first in first out within one.
//
// A sender is an account and stream. Each that has something waiting stands once in the round; taking one batch
// sends it to the end of the round. Senders with nothing waiting leave no trace.

import type { ReadyBatch } from './batch.ts'
import { Fifo } from './fifo.ts'

interface Sender<B> {
  readonly key: number
  readonly batches: Fifo<B>
}

/** Accounts and streams have small keys of the store: together they fit a double exactly up to this many streams. */
const streamKeysMax = 2 ** 24

/** Batches of equal priority. */
export class Lane<B extends ReadyBatch> {
  readonly #senders = new Map<number, Sender<B>>()
  readonly #round = new Fifo<Sender<B>>()
  #size = 0

  /** Batches waiting. */
  get size(): number {
    return this.#size
  }

  push(batch: B): void {
    this.#senderOf(batch).batches.push(batch)
    this.#size++
  }

  /** Puts a batch back before the others of its sender. */
  putBack(batch: B): void {
    this.#senderOf(batch).batches.unshift(batch)
    this.#size++
  }

  /** The next one in turn. */
  shift(): B | undefined {
    const sender = this.#round.shift()
    if (sender === undefined) return undefined
    const batch = sender.batches.shift()
    if (sender.batches.size > 0) this.#round.push(sender)
    else this.#senders.delete(sender.key)
    this.#size--
    return batch
  }

  /** Shows each, sender by sender. */
  each(show: (batch: B) => void): void {
    for (const { batches } of this.#senders.values()) batches.each(show)
  }

  #senderOf({ message }: B): Sender<B> {
    const key = message.accountKey * streamKeysMax + message.streamKey
    let sender = this.#senders.get(key)
    if (sender === undefined) {
      sender = { key, batches: new Fifo() }
      this.#senders.set(key, sender)
      this.#round.push(sender)
    }
    return sender
  }
}
