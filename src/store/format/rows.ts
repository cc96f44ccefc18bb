// Packed parts of rows: what no query asks for is one blob, made in the relay thread and only copied by the store thread.
//
// Each starts with a version byte. `envelope` and `head` are written once at accept and read back by leases and lists.

import { PackReader, PackWriter } from '../../base/index.ts'
import type { Extent, NewContent, NewMessage, NewRecipient } from '../../queue/index.ts'

const version = 1
const rets = ['', 'FULL', 'HDRS'] as const
const bits = { eightBit: 1, smtpUtf8: 2, sendsDsn: 4, segments: 8, plain: 16, unsigned: 32 } as const

/** The envelope facts that are not columns. */
export interface EnvelopeRest {
  readonly isEightBit: boolean
  readonly isSmtpUtf8: boolean
  readonly sendsDsn: boolean
  readonly isPlain: boolean
  readonly isUnsigned: boolean
  /** The content lies in segment files. */
  readonly isInSegments: boolean
  readonly ret: '' | 'FULL' | 'HDRS'
  readonly contentSizeBytes: number
  readonly reversePath: string
  readonly sentReversePath: string
  readonly envelopeId: string
}

/** Writes a message's envelope blob. */
export function writeEnvelope(to: PackWriter, message: NewMessage): void {
  to.u8(version)
  to.u8(
    (message.isEightBit ? bits.eightBit : 0) |
      (message.isSmtpUtf8 ? bits.smtpUtf8 : 0) |
      (message.sendsDsn ? bits.sendsDsn : 0) |
      (message.content.kind === 'segments' ? bits.segments : 0) |
      (message.isPlain === true ? bits.plain : 0) |
      (message.isUnsigned === true ? bits.unsigned : 0),
  )
  to.u8(rets.indexOf(message.ret))
  to.number(message.content.sizeBytes)
  to.string(message.reversePath)
  to.string(message.sentReversePath)
  to.string(message.envelopeId)
}

/** The reverse of {@link writeEnvelope}. */
export function readEnvelope(bytes: Uint8Array): EnvelopeRest {
  const from = new PackReader(asBuffer(bytes), 1)
  const flags = from.u8()
  return {
    isEightBit: (flags & bits.eightBit) !== 0,
    isSmtpUtf8: (flags & bits.smtpUtf8) !== 0,
    sendsDsn: (flags & bits.sendsDsn) !== 0,
    isPlain: (flags & bits.plain) !== 0,
    isUnsigned: (flags & bits.unsigned) !== 0,
    isInSegments: (flags & bits.segments) !== 0,
    ret: rets[from.u8()] ?? '',
    contentSizeBytes: from.number(),
    reversePath: from.string(),
    sentReversePath: from.string(),
    envelopeId: from.string(),
  }
}

/** What a recipient row keeps about its RCPT. */
export type RecipientHead = Pick<NewRecipient, 'forwardPath' | 'notify' | 'originalRecipient'>

/** Writes a recipient's head blob. */
export function writeHead(to: PackWriter, recipient: RecipientHead): void {
  to.u8(version)
  to.u8(recipient.notify)
  to.string(recipient.forwardPath)
  to.string(recipient.originalRecipient)
}

/** The reverse of {@link writeHead}. */
export function readHead(bytes: Uint8Array): RecipientHead {
  const from = new PackReader(asBuffer(bytes), 1)
  const notify = from.u8()
  return { notify, forwardPath: from.string(), originalRecipient: from.string() }
}

/** Packs the extents of a content in segments: number, offset and size of each. */
export function packExtents(extents: readonly Extent[]): Buffer {
  const to = new PackWriter(1 + extents.length * 24)
  to.u8(version)
  for (const extent of extents) {
    to.number(extent.segment)
    to.number(extent.offsetBytes)
    to.number(extent.sizeBytes)
  }
  return to.finish()
}

/** The reverse of {@link packExtents}. */
export function unpackExtents(bytes: Uint8Array): Extent[] {
  const from = new PackReader(asBuffer(bytes), 1)
  const extents: Extent[] = []
  while (from.hasMore)
    extents.push({ segment: from.number(), offsetBytes: from.number(), sizeBytes: from.number() })
  return extents
}

/** A message as the store thread handles it: columns as values, the rest as bytes that are only copied. */
export interface RawMessage {
  readonly id: Buffer
  readonly accountKey: number
  readonly streamKey: number
  readonly acceptedAtMs: number
  readonly expiresAtMs: number
  readonly firstAttemptAtMs: number
  readonly priority: number
  readonly sizeBytes: number
  /** See `stateCodes`. */
  readonly startState: number
  /** Number of the wait reason. */
  readonly startReason: number
  readonly envelope: Buffer
  readonly prefix: Buffer
  /** Inline content; null when it is in segments. */
  readonly content: Buffer | null
  /** Packed extents; null when the content is inline. */
  readonly extents: Buffer | null
  readonly acceptedFacts: Buffer
  readonly recipients: readonly RawRecipient[]
}

export interface RawRecipient {
  readonly number: number
  readonly domain: string
  readonly head: Buffer
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer(bytes: Uint8Array | null): Buffer {
  return bytes === null ? Buffer.alloc(0) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Size of what a content takes in a packet. */
export function inlineSizeBytes(content: NewContent): number {
  return content.kind === 'inline' ? content.sizeBytes : 0
}
