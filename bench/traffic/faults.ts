/**
 * Random faults of the sink, drawn from a seeded source: the same seed draws the same numbers. Each share is the
 * probability at one occasion. What is refused for good is decided by the recipient's number alone, so that every
 * attempt hears the same.
 */

export interface FaultShares {
  readonly greeting421: number
  readonly dropAtGreeting: number
  readonly dropAtMail: number
  readonly rcpt450: number
  /** Of recipients, not of occasions. */
  readonly rcpt550: number
  readonly dot451: number
  /** The connection ends instead of the reply to the content: nothing was taken. */
  readonly dropAtDot: number
  /** The content was taken, and the connection ends before the reply: a second delivery is right. */
  readonly dropAfterDot: number
  /** Replies that come late. */
  readonly slow: number
  readonly slowMs: number
}

/** What the soak does to its server. */
export const everydayFaults: FaultShares = {
  greeting421: 0.01,
  dropAtGreeting: 0.005,
  dropAtMail: 0.002,
  rcpt450: 0.03,
  rcpt550: 0.02,
  dot451: 0.01,
  dropAtDot: 0.001,
  dropAfterDot: 0.0005,
  slow: 0.005,
  slowMs: 2_000,
}

export class Faults {
  readonly #shares: FaultShares
  #state: number

  constructor(shares: FaultShares, seed: number) {
    this.#shares = shares
    this.#state = seed >>> 0
  }

  falls(occasion: Exclude<keyof FaultShares, 'rcpt550' | 'slow' | 'slowMs'>): boolean {
    const share = this.#shares[occasion]
    return share > 0 && this.#next() < share
  }

  isRefusedForGood(number: number): boolean {
    // Numbers in a row are spread first: the mixing alone favours small ones.
    return mixed(Math.imul(number, 0x9e3779b1) >>> 0) < this.#shares.rcpt550
  }

  /** How long the next replies wait. */
  delayMs(): number {
    const { slow, slowMs } = this.#shares
    return slow > 0 && this.#next() < slow ? this.#next() * slowMs : 0
  }

  /** From 0 up to but without 1 (mulberry32). */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    return mixed(this.#state)
  }
}

function mixed(value: number): number {
  let bits = Math.imul(value ^ (value >>> 15), value | 1)
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
  return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
}
