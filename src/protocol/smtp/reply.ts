// The SMTP reply as a value, used on both sides of the wire.
//
// The server engine writes nothing to a socket but these; the client's reply reader produces them.
// A reply's text is already free of CR and LF; `lines` has at least one entry.

/** One SMTP reply (RFC 5321 §4.2, RFC 2034). */
export interface SmtpReply {
  /** Three digits, 200 to 599. */
  readonly code: number
  /** Enhanced status code such as `5.7.1`; '' where the protocol has none (greeting, EHLO, 3xx). */
  readonly enhanced: string
  /** Text of each line, without code and enhanced code. */
  readonly lines: readonly string[]
  /** Server side: close the connection after this reply (421 and 521 always do). */
  readonly close?: boolean
}

/** Makes a reply of one or more lines (`\n` separates them). */
export function smtpReply(code: number, enhanced: string, text: string, close?: boolean): SmtpReply {
  const lines = text.split('\n')
  return close === undefined ? { code, enhanced, lines } : { code, enhanced, lines, close }
}

/** The first digit: 2 success, 3 go on, 4 transient failure, 5 permanent failure. */
export function replyClass(reply: SmtpReply): number {
  return Math.floor(reply.code / 100)
}
