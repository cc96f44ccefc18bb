// What a peer that lacks an extension means for a message: sent as it is, changed, or refused with the right code.
//
// Place on the path: right before the transaction. Rules:
// - SIZE smaller than the message: 5.3.4 for all, nothing is sent (RFC 1870 §6).
// - no SMTPUTF8: a UTF-8 local part bounces its recipient, a UTF-8 reverse-path or header bounces all, 5.6.7
//   (RFC 6531 §3.2); domains are A-labels already. Whatever needs no SMTPUTF8 goes without it.
// - no 8BITMIME and an 8-bit content: re-encoded and signed again (RFC 6152 §3); 5.6.3 when that cannot be.
// - a message without its signature is signed here, whatever the peer can do; 4.7.7 when that cannot be.
// The changed content is made once for a message in hand. It must be whole in memory, so the room for it is bounded, and
// so is how many are made at the same time.

import { isAscii } from 'node:buffer'
import { reencodeSteps, runInSlices, type Turns } from '../protocol/mail/index.ts'
import type { PeerCapabilities } from '../protocol/smtp/client/index.ts'
import type { LeasedMessage, LeasedRecipient, PrefixedMessage } from '../queue/index.ts'
import { type ContentReader, contentHead, wholeContent } from './content.ts'
import type { PrefixedBatch } from './delivery-batch.ts'
import { type LocalFailure, localFailures } from './local-failure.ts'
import type { Resigner } from './port.ts'

/** A content as changed for a peer; `failure` when it could not be. */
export type ChangedContent =
  | { readonly kind: 'changed'; readonly parts: readonly Buffer[] }
  | { readonly kind: 'failure'; readonly failure: LocalFailure }

/** How a batch goes to this peer. */
export interface Adapted {
  readonly refused: readonly { readonly recipient: LeasedRecipient; readonly failure: LocalFailure }[]
  readonly recipients: readonly LeasedRecipient[]
  /** Prefix and content to send instead of the message's own; null: its own. */
  readonly parts: readonly Buffer[] | null
  readonly isEightBit: boolean
  readonly isSmtpUtf8: boolean
}

/** Bounds how much of changed contents is in memory; the engine gives back what a message took when it is done. */
export interface ChangedRoom {
  takeChanged(bytes: number): boolean
}

interface AdaptPorts {
  readonly content: ContentReader
  readonly resigner: Resigner
  readonly room: ChangedRoom
  /** For the work of re-encoding, which takes memory of its own while it goes on. */
  readonly encodings: Turns
}

const headerBytesMax = 256 * 1024

/** True when the message cannot go to this peer just as it is. Cheap: asked for every batch. */
export function needsAdapting(message: LeasedMessage, peer: PeerCapabilities): boolean {
  return (
    message.isUnsigned === true ||
    (message.isEightBit && !peer.hasEightBitMime) ||
    (message.isSmtpUtf8 && !peer.hasSmtpUtf8) ||
    (peer.sizeBytesMax !== null && message.sizeBytes > peer.sizeBytesMax)
  )
}

/** Fits a batch to a peer. */
export async function adapt(
  batch: PrefixedBatch,
  recipients: readonly LeasedRecipient[],
  peer: PeerCapabilities,
  ports: AdaptPorts,
): Promise<Adapted> {
  const { message } = batch
  const plain = { parts: null, isEightBit: message.isEightBit, isSmtpUtf8: message.isSmtpUtf8 }
  const refuseAll = (failure: LocalFailure): Adapted => ({
    ...plain,
    recipients: [],
    refused: recipients.map(recipient => ({ recipient, failure })),
  })
  if (peer.sizeBytesMax !== null && message.sizeBytes > peer.sizeBytesMax) {
    return refuseAll(localFailures.tooLarge(message.sizeBytes, peer.sizeBytesMax))
  }
  let isSmtpUtf8 = message.isSmtpUtf8
  let takers = recipients
  const refused: { recipient: LeasedRecipient; failure: LocalFailure }[] = []
  if (isSmtpUtf8 && !peer.hasSmtpUtf8) {
    if (!isAsciiText(message.sentReversePath)) return refuseAll(localFailures.utf8('reverse-path'))
    // Recipients before the header: the `for` of our own Received field must not be blamed on the content.
    takers = recipients.filter(one => isAsciiText(one.forwardPath))
    for (const recipient of recipients) {
      if (!takers.includes(recipient))
        refused.push({ recipient, failure: localFailures.utf8('forward-path') })
    }
    const isFit = takers.length === 0 || (await hasAsciiHeader(batch, ports.content))
    if (!isFit) return refuseAll(localFailures.utf8('header'))
    isSmtpUtf8 = false
  }
  const isTooWide = message.isEightBit && !peer.hasEightBitMime
  if (takers.length === 0 || !(isTooWide || message.isUnsigned === true)) {
    return { ...plain, isSmtpUtf8, recipients: takers, refused }
  }
  if (isTooWide) batch.inHand.sevenBit ??= makeSevenBit(batch, ports)
  const changed = await (isTooWide ? batch.inHand.sevenBit! : signAsItIs(batch, ports))
  if (changed.kind === 'failure') return refuseAll(changed.failure)
  const isEightBit = message.isEightBit && !isTooWide
  return { refused, recipients: takers, parts: changed.parts, isEightBit, isSmtpUtf8 }
}

async function makeSevenBit(
  { message, content, inHand }: PrefixedBatch,
  ports: AdaptPorts,
): Promise<ChangedContent> {
  // The old content and the new one: text grows to three times its size, attachments stay as they are.
  const bytes = message.content.sizeBytes * 2
  if (!ports.room.takeChanged(bytes)) return { kind: 'failure', failure: localFailures.noRoomToEncode() }
  // Besides what a signature for another peer has taken.
  inHand.changedBytes += bytes
  try {
    const whole = await wholeContent(message, content, ports.content)
    if (whole === null) return { kind: 'failure', failure: localFailures.contentGone() }
    const result = await ports.encodings.run(() => runInSlices(reencodeSteps(whole, { reason: 'eightbit' })))
    if (result.kind === 'impossible')
      return { kind: 'failure', failure: localFailures.cannotEncode(result.why) }
    if (result.kind === 'reencoded') return await sign(message, result.header, result.body, ports)
    if (message.isUnsigned === true) return await signWhole(message, whole, ports)
    return { kind: 'changed', parts: [message.prefix, whole] }
  } catch (error) {
    return { kind: 'failure', failure: localFailures.fault(error) }
  }
}

/** Not kept for the message: it is small, a report of ours, and has one recipient. */
async function signAsItIs(
  { message, content, inHand }: PrefixedBatch,
  ports: AdaptPorts,
): Promise<ChangedContent> {
  const bytes = message.content.sizeBytes
  if (inHand.changedBytes === 0) {
    if (!ports.room.takeChanged(bytes)) return { kind: 'failure', failure: localFailures.noRoomToEncode() }
    inHand.changedBytes = bytes
  }
  try {
    const whole = await wholeContent(message, content, ports.content)
    if (whole === null) return { kind: 'failure', failure: localFailures.contentGone() }
    return await signWhole(message, whole, ports)
  } catch (error) {
    return { kind: 'failure', failure: localFailures.fault(error) }
  }
}

function signWhole(message: PrefixedMessage, whole: Buffer, ports: AdaptPorts): Promise<ChangedContent> {
  const end = whole.indexOf('\r\n\r\n')
  const bodyAt = end < 0 ? whole.length : end + 4
  return sign(message, whole.subarray(0, bodyAt), [whole.subarray(bodyAt)], ports)
}

async function sign(
  message: PrefixedMessage,
  header: Buffer,
  body: readonly Buffer[],
  { resigner }: AdaptPorts,
): Promise<ChangedContent> {
  const prefix = await resigner.resign(message, header, body)
  if (prefix === null) return { kind: 'failure', failure: localFailures.cannotSign() }
  return { kind: 'changed', parts: [prefix, header, ...body] }
}

/** Without a look at the whole body: the header ends at the first blank line. */
async function hasAsciiHeader({ message, content }: PrefixedBatch, reader: ContentReader): Promise<boolean> {
  const head = await contentHead(message, content, reader, headerBytesMax)
  if (head === null) return true
  const end = head.indexOf('\r\n\r\n')
  return isAscii(end < 0 ? head : head.subarray(0, end)) && isAscii(message.prefix)
}

function isAsciiText(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false
  return true
}
