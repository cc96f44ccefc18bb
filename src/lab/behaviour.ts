// What a receiving host of the lab does to every connection, as data.
//
// Set by the table of hosts at the start and by `setBehaviour` at run time. What concerns one recipient only is the
// business of the magic addresses (magic.ts).

import type { SmtpReply } from '../protocol/smtp/index.ts'

/** Which certificate a host shows; `broken` fails every handshake, `none` does not offer STARTTLS. */
export type LabTls = 'good' | 'none' | 'broken' | 'wrong-name' | 'expired' | 'self-signed'

/** What becomes of a new connection: served, refused by the system, closed at once, or left without a greeting. */
export type LabConnect = 'serve' | 'refuse' | 'close' | 'silent'

/** The behaviour of one host. */
export interface LabBehaviour {
  readonly connect: LabConnect
  /** 4xx or 5xx instead of the greeting; null greets. */
  readonly greeting: SmtpReply | null
  readonly tls: LabTls
  /** EHLO keywords that are not announced. Only for hosts with `tls: 'none'`: under TLS nobody can bend the reply. */
  readonly withholds: readonly string[]
  /** EHLO is answered 502, HELO works. Only with `tls: 'none'`. */
  readonly isHeloOnly: boolean
  /** Replies leave a byte at a time with this pause, in real time; 0: at once. Only with `tls: 'none'`. */
  readonly bytePauseMs: number
  /** Wait before the greeting and before the replies to MAIL, RCPT and the content, in milliseconds of the lab's clock. */
  readonly delayMs: number
  /** Replies to commands instead of the usual ones; null: as usual. */
  readonly mail: SmtpReply | null
  readonly rcpt: SmtpReply | null
  readonly data: SmtpReply | null
  /** After the content. */
  readonly content: SmtpReply | null
  readonly maxSizeBytes: number
  readonly rcptMax: number
  /** Messages on a connection, then 421. */
  readonly mailsPerSession: number
}

/** A host that takes everything. */
export const ordinaryBehaviour: LabBehaviour = {
  connect: 'serve',
  greeting: null,
  tls: 'good',
  withholds: [],
  isHeloOnly: false,
  bytePauseMs: 0,
  delayMs: 0,
  mail: null,
  rcpt: null,
  data: null,
  content: null,
  maxSizeBytes: 100 * 1024 * 1024,
  rcptMax: 1000,
  mailsPerSession: 1_000_000,
}
