// How large a report on many recipients may become, whatever servers and clients made their texts of.
//
// Place on the path: before and inside the DSN builder. Everybody is named, with code and status: who would be too many
// for one report gets into another one. What is shared is room for the words of the servers. Invariant: a report on one
// portion has at most `dsnBytesMax`, with the most that is returned of a message.

import { isAscii } from 'node:buffer'
import type { DsnRecipient } from './dsn.ts'
import { valueBytesMax } from './dsn-value.ts'

/** Of one report: servers that take less than a mebibyte are unknown. */
export const dsnBytesMax: number = 1024 * 1024

/** Names, fields and advice of all recipients of a report. */
const namesBytesMax = 320 * 1024
/**
 * What servers said and why it failed, of all recipients: once for people, where encoding can make three bytes of one, and
 * once for programs, where `\x{…}` can.
 */
const textsBytesMax = 64 * 1024
/** Code and enhanced code, and a few words. More recipients than fit into one report with it are in several. */
const textBytesMin = 40

/** What stands around the texts of a recipient in both parts, when every field is there. */
const aroundBytes = 430

/** Bytes of a text in fields, where a character may be written `\x{FFFF}`. */
function fieldBytesOf(text: string): number {
  return isAscii(Buffer.from(text)) ? text.length : text.length * 8
}

/** The most that a recipient takes beside the words of its server: it is named once for people, in up to nine bytes a character. */
function weightOf({ forwardPath, originalRecipient, remoteHost }: DsnRecipient): number {
  const name = fieldBytesOf(forwardPath)
  const spoken = name === forwardPath.length ? name : forwardPath.length * 9
  return aroundBytes + name + spoken + fieldBytesOf(originalRecipient) + 2 * fieldBytesOf(remoteHost)
}

/** The recipients in their order, as many together as one report can name. */
export function dsnPortions(recipients: readonly DsnRecipient[]): DsnRecipient[][] {
  const portions: DsnRecipient[][] = []
  let portion: DsnRecipient[] = []
  let weight = 0
  for (const recipient of recipients) {
    const more = weightOf(recipient)
    if (portion.length > 0 && weight + more > namesBytesMax) {
      portions.push(portion)
      portion = []
      weight = 0
    }
    portion.push(recipient)
    weight += more
  }
  if (portion.length > 0) portions.push(portion)
  return portions
}

/** How much of each server's words fits into a report on these: short ones leave their room to the long. */
export function dsnTextBytesMax(recipients: readonly DsnRecipient[]): number {
  const texts = recipients.flatMap(one => [one.reason, one.remoteReply]).map(text => Buffer.byteLength(text))
  let cut = valueBytesMax
  while (cut > textBytesMin && texts.reduce((sum, bytes) => sum + Math.min(bytes, cut), 0) > textsBytesMax)
    cut = Math.max(textBytesMin, Math.floor(cut * 0.9))
  return cut
}
