// Makes words that are not a peer's reply fit for an outcome: one short line without control characters.
//
// Place on the path: failed host or decision of ours ▶ ONE LINE ▶ outcome. Linear in the text. The system's and
// OpenSSL's words come with line ends, error numbers and file names of their sources; an outcome goes into events, DSN
// mail and terminals. Replies are made printable where they are read (protocol/smtp/client), TAB excepted.

const charactersMax = 500

/**
 * `<thread>:error:<number>:<library>:<function>:<reason>:<file>:<line>:<data>` of OpenSSL. Looked for only where a number
 * begins: the text may be 64 KiB of a server's digits.
 */
const openSslPattern = /(?<![0-9A-F])[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):.*$/s

/** Controls (C0, DEL, C1) and the line and paragraph separators of Unicode. */
const controls = /[\p{Cc}\u2028\u2029]+/gu

/** The text in one line; OpenSSL's errors by their reason alone. */
export function oneLine(text: string): string {
  const readable = text.replace(openSslPattern, (_, reason: string) => `TLS failed: ${reason}`)
  const line = readable.replace(controls, ' ').trim()
  return line.length > charactersMax ? `${line.slice(0, charactersMax)}…` : line
}
