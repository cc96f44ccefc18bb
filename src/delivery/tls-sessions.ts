// TLS sessions for resumption, by host and address; bounded, the longest unused goes first.
//
// Losing one costs a full handshake, nothing else.

import type { ResumableSession } from '../protocol/smtp/client/index.ts'

/** A ticket holds the peer's certificate, which may be of any size; usual ones are under 4 KiB. */
const ticketBytesMax = 16_384

/** Session tickets of one thread. */
export class TlsSessions {
  readonly #sessions = new Map<string, ResumableSession>()
  readonly #entriesMax: number

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax
  }

  /** The newest session, or undefined. */
  get(key: string): ResumableSession | undefined {
    const session = this.#sessions.get(key)
    if (session !== undefined) this.set(key, session)
    return session
  }

  set(key: string, session: ResumableSession): void {
    this.#sessions.delete(key)
    if (session.ticket.length > ticketBytesMax) return
    this.#sessions.set(key, session)
    if (this.#sessions.size > this.#entriesMax) {
      const oldest = this.#sessions.keys().next()
      if (oldest.done !== true) this.#sessions.delete(oldest.value)
    }
  }

  /** After a failed handshake the session may be the cause. */
  delete(key: string): void {
    this.#sessions.delete(key)
  }
}
