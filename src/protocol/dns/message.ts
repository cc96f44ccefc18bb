// One query as bytes, and one datagram from the network as a value.
//
// The codec throws on bad bytes; nothing past this file sees that. A message is `foreign` when it cannot be
// the reply to our query (other id, other question, not a response): it is ignored, since anybody may have
// sent it. It is `malformed` when the id is ours but the rest makes no sense.

import type { Answer, Packet } from 'dns-packet'
import { AUTHENTIC_DATA, encode, RECURSION_DESIRED } from 'dns-packet'
import { type DnsMessage, decodeMessage, headerBytes, typeNumbers } from './decode.ts'
import { foldName } from './name.ts'
import type { DnsType } from './types.ts'

/** EDNS0 size that no path fragments (DNS flag day 2020). */
export const udpPayloadBytes = 1232
/** More records than this in one message is not mail routing but an attack on the parser. */
const recordsMax = 2000

const truncated = 0x0200

/** The question as sent: its letter case counts. */
export interface DnsQuestion {
  readonly id: number
  readonly name: string
  readonly type: DnsType
}

export interface QueryFlags {
  readonly hasEdns: boolean
  /** Ask for DNSSEC: AD (RFC 6840 §5.7) and, with EDNS, DO. */
  readonly isDnssecAsked: boolean
}

export function encodeQuery(question: DnsQuestion, flags: QueryFlags): Buffer {
  const packet: Packet = {
    type: 'query',
    id: question.id,
    flags: RECURSION_DESIRED | (flags.isDnssecAsked ? AUTHENTIC_DATA : 0),
    questions: [{ name: question.name, type: question.type, class: 'IN' }],
  }
  if (flags.hasEdns) {
    packet.additionals = [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: udpPayloadBytes,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: flags.isDnssecAsked ? 0x8000 : 0,
        flag_do: flags.isDnssecAsked,
        options: [],
      },
    ]
  }
  return encode(packet)
}

/** A reply to our query. */
export interface DnsReply {
  readonly rcode: number
  readonly isTruncated: boolean
  readonly isAuthentic: boolean
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  /** The question came back with the very letters we sent. */
  readonly hasSameCase: boolean
}

export type Received =
  | { readonly kind: 'reply'; readonly reply: DnsReply }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'malformed'; readonly why: string }

/** Judges one datagram or stream message against the question asked. Never throws. */
export function readReply(bytes: Buffer, question: DnsQuestion): Received {
  if (bytes.length < headerBytes || bytes.readUInt16BE(0) !== question.id) return { kind: 'foreign' }
  const flags = bytes.readUInt16BE(2)
  if ((flags & 0x8000) === 0) return { kind: 'foreign' }
  if ((flags & 0x7800) !== 0) return { kind: 'malformed', why: 'an opcode that is not a query' }
  let records = 0
  for (let at = 6; at < headerBytes; at += 2) records += bytes.readUInt16BE(at)
  if (records > recordsMax) return { kind: 'malformed', why: `it claims ${records} records` }
  let message: DnsMessage
  try {
    message = decodeMessage(bytes)
  } catch (error) {
    return readUnparsed(bytes, flags, error)
  }
  return judge(message, question)
}

/**
 * Some servers answer FORMERR or NOTIMP with the header alone: the code is still worth having. And some cut a long answer
 * in the middle of a record: that it was cut is all there is to know, since the answer is asked for by TCP.
 */
function readUnparsed(bytes: Buffer, flags: number, error: unknown): Received {
  const rcode = flags & 0xf
  const isTruncated = (flags & truncated) !== 0 && speaksOfName(rcode)
  if (isTruncated) return { kind: 'reply', reply: bareReply(rcode, true) }
  if (bytes.length === headerBytes) return withoutQuestion(rcode)
  return { kind: 'malformed', why: error instanceof Error ? error.message : 'it cannot be decoded' }
}

/** NOERROR and NXDOMAIN say what there is; all other codes speak of the server, or of the query. */
function speaksOfName(rcode: number): boolean {
  return rcode === 0 || rcode === 3
}

/**
 * A refusal needs no question. What speaks of the name does: without its letters anybody who guesses id and port could say
 * NXDOMAIN.
 */
function withoutQuestion(rcode: number): Received {
  return speaksOfName(rcode) ? { kind: 'foreign' } : { kind: 'reply', reply: bareReply(rcode, false) }
}

function bareReply(rcode: number, isTruncated: boolean): DnsReply {
  return {
    rcode,
    isTruncated,
    isAuthentic: false,
    answers: [],
    authorities: [],
    hasSameCase: true,
  }
}

function judge(message: DnsMessage, question: DnsQuestion): Received {
  const { flags, questions, answers, authorities, extendedRcode } = message
  const rcode = flags & 0xf
  if (questions.length === 0) return withoutQuestion(rcode)
  const echoed = questions[0]
  if (questions.length !== 1 || echoed === undefined) return { kind: 'foreign' }
  const isSame =
    echoed.type === typeNumbers[question.type] &&
    echoed.isInternet &&
    foldName(echoed.name) === foldName(question.name)
  if (!isSame) return { kind: 'foreign' }
  return {
    kind: 'reply',
    reply: {
      rcode: rcode | (extendedRcode << 4),
      isTruncated: (flags & truncated) !== 0,
      isAuthentic: (flags & AUTHENTIC_DATA) !== 0,
      answers,
      authorities,
      hasSameCase: echoed.name === question.name || question.name === '',
    },
  }
}
