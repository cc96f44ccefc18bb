// A message of the load: a number in its subject and in each line of its body tells which one it is. Its bytes follow from
// what is written down of it, so that it can be made again and is looked for whole: header fields and body, to the last.

import { createHash } from 'node:crypto'

/** A message as it was handed in; see {@link contentOf}. */
export interface Sent {
  readonly number: number
  readonly from: string
  readonly to: readonly string[]
  readonly bodyBytes: number
  /** Header, body and the last line's end. */
  readonly contentBytes: number
  readonly contentHash: string
}

/** Writes down a message whose body has about so many bytes. */
export function makeSent(number: number, from: string, to: readonly string[], aboutBytes: number): Sent {
  const line = lineOf(number)
  const bodyBytes = Math.max(1, Math.ceil(aboutBytes / line.length)) * line.length
  const content = contentOf({ number, from, bodyBytes })
  return { number, from, to, bodyBytes, contentBytes: content.length, contentHash: hashOf(content) }
}

const lineOf = (number: number): string => `message ${number} ${'z'.repeat(60)}\r\n`

/** The bytes that were handed in. Blanks, case and folds of the header are to stay as they are. */
export function contentOf({ number, from, bodyBytes }: Pick<Sent, 'number' | 'from' | 'bodyBytes'>): Buffer {
  const header = `From: Ann <${from}>\r\nSubject: crash ${number}\r\nx-Notes:  as it\r\n\tis ${number}\r\n\r\n`
  return Buffer.from(header + lineOf(number).repeat(bodyBytes / lineOf(number).length), 'latin1')
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

/** A message of the load, as it came or as it waits. */
export interface Recognised {
  readonly id: string
  readonly sent: Sent
  /** What stands before the content that was handed in. */
  readonly prefix: string
}

/** Which message that is, when it ends with exactly what was handed in; a string says what is wrong with it. */
export function recognise(whole: Buffer, sentByNumber: ReadonlyMap<number, Sent>): Recognised | string {
  const headerBytes = whole.indexOf('\r\n\r\n')
  const header = headerBytes < 0 ? '' : whole.toString('latin1', 0, headerBytes + 2)
  const number = /^Subject: crash (\d+)\r$/m.exec(header)?.[1]
  const sent = sentByNumber.get(Number(number ?? Number.NaN))
  if (sent === undefined) return `unreadable, ${whole.length} bytes`
  const start = whole.length - sent.contentBytes
  if (start < 0 || hashOf(whole.subarray(start)) !== sent.contentHash)
    return `number ${number} differs from what was sent`
  const prefix = whole.toString('latin1', 0, start)
  const id = /\bid (msg_[a-z2-7]{26})\b/.exec(prefix)?.[1]
  return id === undefined ? `number ${number} has no trace field with its id` : { id, sent, prefix }
}
