// How much may be ready at once, all egress paths of a thread together: recipients and bytes of content in memory.
//
// The lease loop asks before it leases, the door before it commits. A message is counted when it is taken and let go
// when its last recipient here is settled or given back. No account can fill it, whatever it sends to whomever, since it
// may only have a multiple of what is left for the others: one alone four fifths, two of them four ninths each, and so on.

import type { LeaseShares } from '../port.ts'
import { mayTake } from '../share.ts'

export interface RoomOptions {
  /** Recipients ready or in an attempt. */
  readonly recipientsMax: number
  /** Bytes of content held in memory for them. */
  readonly contentBytesMax: number
  /** Bytes of contents that were changed for servers that lack an extension. */
  readonly changedBytesMax: number
}

/** What one account has. */
interface Taken {
  recipients: number
  contentBytes: number
}

/** The counters. */
export class Room {
  readonly #options: RoomOptions
  /** Accounts that have something. */
  readonly #accounts = new Map<number, Taken>()
  #recipients = 0
  #contentBytes = 0
  #changedBytes = 0

  constructor(options: RoomOptions) {
    this.#options = options
  }

  get recipients(): number {
    return this.#recipients
  }

  get contentBytes(): number {
    return this.#contentBytes
  }

  /** How many further recipients fit; 0 while the bytes are used up. */
  get freeRecipients(): number {
    if (this.#contentBytes >= this.#options.contentBytesMax) return 0
    return Math.max(0, this.#options.recipientsMax - this.#recipients)
  }

  /** Does this fit now, and is it no more than this account may have? */
  fits(accountKey: number, recipients: number, contentBytes: number): boolean {
    const taken = this.#accounts.get(accountKey)
    const { recipientsMax, contentBytesMax } = this.#options
    return (
      recipients <= mayTake(taken?.recipients ?? 0, recipientsMax - this.#recipients) &&
      contentBytes <= mayTake(taken?.contentBytes ?? 0, contentBytesMax - this.#contentBytes)
    )
  }

  /** What each account may have of a lease of so many recipients. */
  leaseShares(recipientsMax: number): LeaseShares {
    const free = this.freeRecipients
    const less = new Map<number, number>()
    for (const [accountKey, { recipients }] of this.#accounts) {
      const share = mayTake(recipients, free)
      if (share < recipientsMax) less.set(accountKey, share)
    }
    return { each: mayTake(0, free), less }
  }

  take(accountKey: number, recipients: number, contentBytes: number): void {
    this.#recipients += recipients
    this.#contentBytes += contentBytes
    const taken = this.#accounts.get(accountKey)
    if (taken === undefined) this.#accounts.set(accountKey, { recipients, contentBytes })
    else {
      taken.recipients += recipients
      taken.contentBytes += contentBytes
    }
  }

  release(accountKey: number, recipients: number, contentBytes: number): void {
    this.#recipients -= recipients
    this.#contentBytes -= contentBytes
    const taken = this.#accounts.get(accountKey)
    if (taken === undefined) return
    taken.recipients -= recipients
    taken.contentBytes -= contentBytes
    if (taken.recipients === 0 && taken.contentBytes === 0) this.#accounts.delete(accountKey)
  }

  /**
   * Room for a changed content, which must be whole in memory while it is sent; false when there is none now. A single
   * one always fits, so that the largest message can go.
   */
  takeChanged(bytes: number): boolean {
    const { changedBytesMax } = this.#options
    if (this.#changedBytes > 0 && this.#changedBytes + bytes > changedBytesMax) return false
    this.#changedBytes += bytes
    return true
  }

  releaseChanged(bytes: number): void {
    this.#changedBytes -= bytes
  }
}
