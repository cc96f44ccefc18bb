// What delivery asks of others, beside the queue: memory about hosts, marks before the final dot, signing at the attempt.

import type { PrefixedMessage } from '../queue/index.ts'

/** Durable memory of which MX hosts spoke TLS (no clear text where TLS worked lately: tls-policy.ts). */
export interface HostMemory {
  /**
   * Milliseconds since 1970 of the last successful TLS session with this host name (of a smarthost at another port than 25
   * with the port behind a colon); 0 when never. Answers from memory.
   */
  lastTlsAtMs(host: string): number
  /** Notes a success. Written down at most once a day a host, off the hot path. */
  noteTls(host: string, atMs: number): void
}

/** End-of-data marks (ARCHITECTURE, durability): unsynced, they survive a killed process. */
export interface EndOfDataMarks {
  /** Notes that a final dot is about to go out; the token is given back once the outcome is committed. */
  mark(messageId: Buffer, recipientNumbers: readonly number[]): number
  /** Writes the marks noted since the last call. It returns before any of their final dots leaves. */
  write(): void
  /**
   * The outcome is in the store; the mark's space may be used again. `comesAgain`: somebody of it will be leased again, and a
   * crash then must not find this mark.
   */
  clear(token: number, comesAgain: boolean): void
}

/** Signs a content that had to change on the way out (a peer without 8BITMIME or SMTPUTF8), or that has no signature yet. */
export interface Resigner {
  /**
   * The new prefix (trace + fresh signature); null when a domain with keys could not be signed for:
   * then the attempt must not send.
   */
  resign(message: PrefixedMessage, header: Buffer, body: readonly Buffer[]): Promise<Buffer | null>
}
