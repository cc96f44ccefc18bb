// Packs what relay threads ask of the store thread: accepts, settlements, leases, sealed segments. No JSON, no clones.
//
// A packet is one transferred ArrayBuffer: operations one after another, each `u8 kind, u32 request id, fields`, then an
// end mark. Writer and reader of each operation stand side by side; they must agree field by field.
// The reader gives views into the packet: valid while the packet is, and SQLite copies what it binds.

import { PackReader, type PackWriter } from '../../base/index.ts'
import { eventTypes, type NewEvent } from '../../events/index.ts'
import type { LeaseRequest, LeaseShares, NewMessage, SettleBatch, Settlement } from '../../queue/index.ts'
import {
  packExtents,
  type RawMessage,
  type RawRecipient,
  reasonCode,
  stateCodes,
  writeEnvelope,
  writeHead,
} from '../format/index.ts'
import type { RawGiveBack, RawSettlement } from '../sqlite/settler.ts'

/** Kinds of operations in a packet. */
export const requestKinds = { end: 0, accept: 1, settle: 2, lease: 3, sealed: 4, tlsSeen: 5 } as const

/** An event as it comes out of a packet. */
export interface RawEvent {
  readonly type: number
  readonly atMs: number
  readonly accountKey: number
  readonly streamKey: number
  readonly messageId: Buffer | null
  readonly recipientNumber: number
  readonly facts: Buffer
}

/** A settle batch as it comes out of a packet. */
export interface RawBatch {
  readonly settlements: readonly RawSettlement[]
  readonly giveBacks: readonly RawGiveBack[]
  readonly messages: readonly RawMessage[]
  readonly events: readonly RawEvent[]
}

/** One operation of a packet. */
export type Request =
  | { readonly kind: 'accept'; readonly id: number; readonly message: RawMessage }
  | { readonly kind: 'settle'; readonly id: number; readonly batch: RawBatch }
  | {
      readonly kind: 'lease'
      readonly id: number
      readonly recipientsMax: number
      readonly nowMs: number
      readonly shares: LeaseShares
    }
  | { readonly kind: 'sealed'; readonly id: number; readonly segment: number }
  | { readonly kind: 'tlsSeen'; readonly id: number; readonly host: string; readonly atMs: number }

/** Writes `accept`. */
export function writeAccept(
  to: PackWriter,
  scratch: PackWriter,
  requestId: number,
  message: NewMessage,
): void {
  to.u8(requestKinds.accept)
  to.u32(requestId)
  writeMessage(to, scratch, message, stateCodes[message.startState])
}

/** A settlement without its facts and its outcome; a give-back. */
const settlementBytes = 79
const giveBackBytes = 21

/** Without messages and events, which are few. */
function settleBytes({ settlements, giveBacks }: SettleBatch): number {
  let bytes = settlements.length * settlementBytes + giveBacks.length * giveBackBytes
  for (const { facts, lastOutcome } of settlements) bytes += facts.length + lastOutcome.length
  return bytes
}

/** Writes `settle`. Its messages have nobody who would hold their lease, so `leased` ones start scheduled. */
export function writeSettle(
  to: PackWriter,
  scratch: PackWriter,
  requestId: number,
  batch: SettleBatch,
): void {
  // Mass failures come by the thousand.
  to.reserve(settleBytes(batch))
  to.u8(requestKinds.settle)
  to.u32(requestId)
  to.u32(batch.settlements.length)
  for (const settlement of batch.settlements) writeSettlement(to, settlement)
  to.u32(batch.giveBacks.length)
  for (const back of batch.giveBacks) {
    to.number(back.messageKey)
    to.u32(back.recipientNumber)
    to.number(back.nextAttemptAtMs)
    to.u8(reasonCode(back.reason))
  }
  to.u32(batch.messages.length)
  for (const message of batch.messages)
    writeMessage(to, scratch, message, message.startState === 'held' ? stateCodes.held : stateCodes.scheduled)
  to.u32(batch.events.length)
  for (const event of batch.events) writeEvent(to, event)
}

/** Writes `lease`. */
export function writeLease(to: PackWriter, requestId: number, request: LeaseRequest): void {
  const { recipientsMax, nowMs, shares } = request
  to.u8(requestKinds.lease)
  to.u32(requestId)
  to.u32(recipientsMax)
  to.number(nowMs)
  to.u32(shares?.each ?? recipientsMax)
  to.u32(shares?.less.size ?? 0)
  for (const [accountKey, share] of shares?.less ?? []) {
    to.number(accountKey)
    to.u32(share)
  }
}

function readShares(from: PackReader): LeaseShares {
  const each = from.u32()
  const less = new Map<number, number>()
  for (let left = from.u32(); left > 0; left--) less.set(from.number(), from.u32())
  return { each, less }
}

/** Writes `sealed`: the segment gets no more bytes, and every accept that names it has been sent. */
export function writeSealed(to: PackWriter, segment: number): void {
  to.u8(requestKinds.sealed)
  to.u32(0)
  to.number(segment)
}

/** Writes `tlsSeen`: a host spoke TLS. */
export function writeTlsSeen(to: PackWriter, host: string, atMs: number): void {
  to.u8(requestKinds.tlsSeen)
  to.u32(0)
  to.string(host)
  to.number(atMs)
}

/** Reads every operation of a packet, in order. */
export function readRequests(packet: ArrayBuffer): Request[] {
  const from = new PackReader(Buffer.from(packet))
  const requests: Request[] = []
  for (;;) {
    const kind = from.u8()
    if (kind === requestKinds.end) return requests
    const id = from.u32()
    switch (kind) {
      case requestKinds.accept:
        requests.push({ kind: 'accept', id, message: readMessage(from) })
        break
      case requestKinds.settle:
        requests.push({ kind: 'settle', id, batch: readBatch(from) })
        break
      case requestKinds.lease:
        requests.push({
          kind: 'lease',
          id,
          recipientsMax: from.u32(),
          nowMs: from.number(),
          shares: readShares(from),
        })
        break
      case requestKinds.sealed:
        requests.push({ kind: 'sealed', id, segment: from.number() })
        break
      case requestKinds.tlsSeen:
        requests.push({ kind: 'tlsSeen', id, host: from.string(), atMs: from.number() })
        break
      default:
        throw new Error(`unknown operation ${kind} in a packet`)
    }
  }
}

function writeMessage(to: PackWriter, scratch: PackWriter, message: NewMessage, startState: number): void {
  to.raw(message.id)
  to.number(message.accountKey)
  to.number(message.streamKey)
  to.number(message.acceptedAtMs)
  to.number(message.expiresAtMs)
  to.number(message.startState === 'scheduled' ? message.firstAttemptAtMs : message.acceptedAtMs)
  to.u8(message.priority)
  to.number(message.sizeBytes)
  to.u8(startState)
  to.u8(reasonCode(message.startReason ?? 'first-attempt'))
  scratch.clear()
  writeEnvelope(scratch, message)
  to.bytes(scratch.view())
  to.bytes(message.prefix)
  to.bytes(message.acceptedFacts)
  const { content } = message
  if (content.kind === 'inline') {
    to.u8(0)
    to.parts(content.parts)
  } else {
    to.u8(1)
    to.bytes(packExtents(content.extents))
  }
  to.u32(message.recipients.length)
  for (const recipient of message.recipients) {
    to.u32(recipient.number)
    to.string(recipient.domain)
    scratch.clear()
    writeHead(scratch, recipient)
    to.bytes(scratch.view())
  }
}

function readMessage(from: PackReader): RawMessage {
  const id = from.raw(16)
  const accountKey = from.number()
  const streamKey = from.number()
  const acceptedAtMs = from.number()
  const expiresAtMs = from.number()
  const firstAttemptAtMs = from.number()
  const priority = from.u8()
  const sizeBytes = from.number()
  const startState = from.u8()
  const startReason = from.u8()
  const envelope = from.bytes()
  const prefix = from.bytes()
  const acceptedFacts = from.bytes()
  const isInSegments = from.u8() === 1
  const bytes = from.bytes()
  const count = from.u32()
  const recipients: RawRecipient[] = []
  for (let i = 0; i < count; i++)
    recipients.push({ number: from.u32(), domain: from.string(), head: from.bytes() })
  return {
    id,
    accountKey,
    streamKey,
    acceptedAtMs,
    expiresAtMs,
    firstAttemptAtMs,
    priority,
    sizeBytes,
    startState,
    startReason,
    envelope,
    prefix,
    acceptedFacts,
    content: isInSegments ? null : bytes,
    extents: isInSegments ? bytes : null,
    recipients,
  }
}

function writeSettlement(to: PackWriter, one: Settlement): void {
  to.number(one.messageKey)
  to.raw(one.messageId)
  to.u32(one.recipientNumber)
  to.u32(one.recipientCount)
  to.number(one.accountKey)
  to.number(one.streamKey)
  to.u32(one.attempts)
  to.u8(eventTypes[one.eventType])
  to.u8(one.isDelayNotified ? 1 : 0)
  to.u8(reasonCode(one.reason ?? 'next-attempt'))
  to.number(one.atMs)
  to.number(one.nextAttemptAtMs)
  to.bytes(one.facts)
  to.bytes(one.lastOutcome)
}

function readSettlement(from: PackReader): RawSettlement {
  const messageKey = from.number()
  const messageId = from.raw(16)
  const recipientNumber = from.u32()
  const recipientCount = from.u32()
  const accountKey = from.number()
  const streamKey = from.number()
  const attempts = from.u32()
  const eventType = from.u8()
  return {
    messageKey,
    messageId,
    recipientNumber,
    recipientCount,
    accountKey,
    streamKey,
    attempts,
    eventType,
    isFinal: eventType !== eventTypes.deferred,
    isDelayNotified: from.u8() === 1,
    reason: from.u8(),
    atMs: from.number(),
    nextAttemptAtMs: from.number(),
    facts: from.bytes(),
    lastOutcome: from.bytes(),
  }
}

function writeEvent(to: PackWriter, event: NewEvent): void {
  to.u8(eventTypes[event.type])
  to.number(event.atMs)
  to.number(event.accountKey)
  to.number(event.streamKey)
  to.bytes(event.messageId ?? noBytes)
  to.number(event.recipientNumber)
  to.bytes(event.facts)
}

const noBytes = new Uint8Array(0)

function readEvent(from: PackReader): RawEvent {
  const type = from.u8()
  const atMs = from.number()
  const accountKey = from.number()
  const streamKey = from.number()
  const messageId = from.bytes()
  return {
    type,
    atMs,
    accountKey,
    streamKey,
    messageId: messageId.length === 0 ? null : messageId,
    recipientNumber: from.number(),
    facts: from.bytes(),
  }
}

function readMany<T>(from: PackReader, read: (from: PackReader) => T): T[] {
  const count = from.u32()
  const values: T[] = []
  for (let i = 0; i < count; i++) values.push(read(from))
  return values
}

function readBatch(from: PackReader): RawBatch {
  return {
    settlements: readMany(from, readSettlement),
    giveBacks: readMany(from, readGiveBack),
    messages: readMany(from, readMessage),
    events: readMany(from, readEvent),
  }
}

function readGiveBack(from: PackReader): RawGiveBack {
  return {
    messageKey: from.number(),
    recipientNumber: from.u32(),
    nextAttemptAtMs: from.number(),
    reason: from.u8(),
  }
}
