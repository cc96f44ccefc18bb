// How much may be ready at once, all egress paths of a thread together: recipients and bytes of content in memory.
//
// The lease loop asks before it leases, the door before it commits. A message is counted when it is taken and let go
// when its last recipient here is settled or given back.

export interface RoomOptions {
  /** Recipients ready or in an attempt. */
  readonly recipientsMax: number
  /** Bytes of content held in memory for them. */
  readonly contentBytesMax: number
  /** Bytes of contents that were changed for servers that lack an extension. */
  readonly changedBytesMax: number
}

/** The counters. */
export class Room {
  readonly #options: RoomOptions
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

  /** Does this fit now? */
  fits(recipients: number, contentBytes: number): boolean {
    return (
      this.#recipients + recipients <= this.#options.recipientsMax &&
      this.#contentBytes + contentBytes <= this.#options.contentBytesMax
    )
  }

  take(recipients: number, contentBytes: number): void {
    this.#recipients += recipients
    this.#contentBytes += contentBytes
  }

  release(recipients: number, contentBytes: number): void {
    this.#recipients -= recipients
    this.#contentBytes -= contentBytes
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
