// Packs what the store thread answers: one packet a group and thread, operations as in request-codec.ts.
//
// Place: store thread ▶ relay thread, for every accept and settle. Invariant: reader and writer agree on the order of
// fields; both stand here.

import { PackReader, type PackWriter } from '../../base/index.ts'
import type { LeasedMessage, LeasedRecipient, StoredContent } from '../../queue/index.ts'
import { packExtents, unpackExtents } from '../format/index.ts'

const kinds = { end: 0, stored: 1, failed: 2, settled: 3, broken: 4, leased: 5 } as const
const rets = ['', 'FULL', 'HDRS'] as const
const idBytes = 16
const idsPerPiece = 32
/** Both without their texts. */
const leasedMessageBytes = 92
const leasedRecipientBytes = 26

/** One answer of a packet. */
export type Reply =
  | { readonly kind: 'stored'; readonly id: number; readonly key: number }
  /** `isContentBad`: its segment must get no more contents. */
  | { readonly kind: 'failed'; readonly id: number; readonly why: string; readonly isContentBad: boolean }
  | { readonly kind: 'settled'; readonly id: number }
  /** A settlement or lease was not done; `isPassing`: it may be later. */
  | { readonly kind: 'broken'; readonly id: number; readonly why: string; readonly isPassing: boolean }
  | { readonly kind: 'leased'; readonly id: number; readonly messages: LeasedMessage[] }

/** Writes one answer. */
export function writeReply(to: PackWriter, reply: Reply): void {
  to.u8(kinds[reply.kind])
  to.u32(reply.id)
  switch (reply.kind) {
    case 'stored':
      to.number(reply.key)
      return
    case 'failed':
      to.string(reply.why)
      to.u8(reply.isContentBad ? 1 : 0)
      return
    case 'broken':
      to.string(reply.why)
      to.u8(reply.isPassing ? 1 : 0)
      return
    case 'settled':
      return
    case 'leased':
      to.reserve(leasedBytes(reply.messages))
      to.u32(reply.messages.length)
      for (const message of reply.messages) writeLeased(to, message)
  }
}

/** Ends a packet. */
export function writeReplyEnd(to: PackWriter): void {
  to.u8(kinds.end)
}

/** Reads every answer of a packet. Nothing of it points into the packet. */
export function readReplies(packet: ArrayBuffer): Reply[] {
  const from = new PackReader(Buffer.from(packet))
  const replies: Reply[] = []
  for (;;) {
    const kind = from.u8()
    if (kind === kinds.end) return replies
    const id = from.u32()
    switch (kind) {
      case kinds.stored:
        replies.push({ kind: 'stored', id, key: from.number() })
        break
      case kinds.failed:
        replies.push({ kind: 'failed', id, why: from.string(), isContentBad: from.u8() === 1 })
        break
      case kinds.settled:
        replies.push({ kind: 'settled', id })
        break
      case kinds.broken:
        replies.push({ kind: 'broken', id, why: from.string(), isPassing: from.u8() === 1 })
        break
      case kinds.leased:
        replies.push({
          kind: 'leased',
          id,
          messages: readMessages(from),
        })
        break
      default:
        throw new Error(`unknown answer ${kind} in a packet`)
    }
  }
}

/** About as many bytes as these take: exact where addresses are ASCII and contents are inline. */
function leasedBytes(messages: readonly LeasedMessage[]): number {
  let bytes = 4
  for (const { reversePath, sentReversePath, envelopeId, recipients } of messages) {
    bytes += leasedMessageBytes + reversePath.length + envelopeId.length
    if (sentReversePath !== reversePath) bytes += 4 + sentReversePath.length
    for (const { forwardPath, domain, originalRecipient, route } of recipients)
      bytes +=
        leasedRecipientBytes + forwardPath.length + domain.length + originalRecipient.length + route.length
  }
  return bytes
}

function writeLeased(to: PackWriter, message: LeasedMessage): void {
  to.number(message.key)
  to.raw(message.id)
  to.number(message.accountKey)
  to.number(message.streamKey)
  const isSentAsGiven = message.sentReversePath === message.reversePath
  to.u8(
    (message.isEightBit ? 1 : 0) |
      (message.isSmtpUtf8 ? 2 : 0) |
      (message.sendsDsn ? 4 : 0) |
      (message.isPlain === true ? 8 : 0) |
      (message.isUnsigned === true ? 16 : 0) |
      (isSentAsGiven ? 32 : 0),
  )
  to.string(message.reversePath)
  if (!isSentAsGiven) to.string(message.sentReversePath)
  to.u8(rets.indexOf(message.ret))
  to.string(message.envelopeId)
  to.number(message.acceptedAtMs)
  to.number(message.expiresAtMs)
  to.u8(message.priority)
  to.number(message.sizeBytes)
  to.u32(message.recipientCount)
  to.number(message.content.sizeBytes)
  to.u8(message.content.kind === 'inline' ? 0 : 1)
  if (message.content.kind === 'segments') to.bytes(packExtents(message.content.extents))
  to.u32(message.recipients.length)
  for (const recipient of message.recipients) {
    to.u32(recipient.number)
    to.string(recipient.forwardPath)
    to.string(recipient.domain)
    to.u8(recipient.notify)
    to.string(recipient.originalRecipient)
    to.u32(recipient.attempts)
    to.string(recipient.route)
    to.u8((recipient.isDelayNotified ? 1 : 0) | (recipient.isUncertain ? 2 : 0))
  }
}

function readMessages(from: PackReader): LeasedMessage[] {
  const count = from.u32()
  const ids = new Ids(count)
  const messages: LeasedMessage[] = []
  for (let i = 0; i < count; i++) messages.push(readLeased(from, ids))
  return messages
}

/** The prefix stays in the store: it would be most of what waits in memory (see LeasedMessage). */
function readLeased(from: PackReader, ids: Ids): LeasedMessage {
  const key = from.number()
  const id = ids.keep(from.raw(idBytes))
  const accountKey = from.number()
  const streamKey = from.number()
  const flags = from.u8()
  const reversePath = from.string()
  const sentReversePath = (flags & 32) !== 0 ? reversePath : from.string()
  const ret = rets[from.u8()] ?? ''
  const envelopeId = from.string()
  const acceptedAtMs = from.number()
  const expiresAtMs = from.number()
  const priority = from.u8()
  return {
    key,
    id,
    accountKey,
    streamKey,
    reversePath,
    sentReversePath,
    isEightBit: (flags & 1) !== 0,
    isSmtpUtf8: (flags & 2) !== 0,
    sendsDsn: (flags & 4) !== 0,
    isPlain: (flags & 8) !== 0,
    isUnsigned: (flags & 16) !== 0,
    ret,
    envelopeId,
    acceptedAtMs,
    expiresAtMs,
    priority,
    prefix: null,
    sizeBytes: from.number(),
    recipientCount: from.u32(),
    content: readContent(from),
    recipients: readRecipients(from),
  }
}

/**
 * Ids in memory of their own: a view would keep the whole packet alive for as long as one of its recipients waits. A few
 * share a piece, since one alone costs far more than its sixteen bytes.
 */
class Ids {
  #left: number
  #piece: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(count: number) {
    this.#left = count
  }

  keep(id: Buffer): Buffer {
    if (this.#at === this.#piece.length) {
      this.#piece = Buffer.allocUnsafeSlow(Math.min(idsPerPiece, this.#left) * idBytes)
      this.#at = 0
    }
    this.#left--
    const at = this.#at
    this.#piece.set(id, at)
    this.#at = at + idBytes
    return this.#piece.subarray(at, this.#at)
  }
}

function readContent(from: PackReader): StoredContent {
  const sizeBytes = from.number()
  return from.u8() === 0
    ? { kind: 'inline', sizeBytes }
    : { kind: 'segments', sizeBytes, extents: unpackExtents(from.bytes()) }
}

function readRecipients(from: PackReader): LeasedRecipient[] {
  const count = from.u32()
  // There is always one, and mostly no other: an array of just its size.
  const recipients = [readRecipient(from)]
  for (let i = 1; i < count; i++) recipients.push(readRecipient(from))
  return recipients
}

function readRecipient(from: PackReader): LeasedRecipient {
  const number = from.u32()
  const forwardPath = from.string()
  const domain = from.string()
  const notify = from.u8()
  const originalRecipient = from.string()
  const attempts = from.u32()
  const route = from.string()
  const flags = from.u8()
  return {
    number,
    forwardPath,
    domain,
    notify,
    originalRecipient,
    attempts,
    route,
    isDelayNotified: (flags & 1) !== 0,
    isUncertain: (flags & 2) !== 0,
  }
}
