// Turns one DNS query of the lab into the messages to send back, faults included.
//
// Plan of `respond`: 1. decode the query (not one question: dropped or FORMERR), 2. ask the zones, following
// CNAMEs when told, 3. build the right answer (SOA in negative ones, RFC 2308 §3), 4. cut it with TC when it
// is over what the client takes by UDP, 5. bend it by the fault set for this name.

import type { Answer, DecodedPacket, Question } from 'dns-packet'
import { AUTHENTIC_DATA, AUTHORITATIVE_ANSWER, decode, encode, TRUNCATED_RESPONSE } from 'dns-packet'
import type { LabDnsFault } from './fault.ts'
import type { LabRecord, LabZone, ZoneBook } from './zone.ts'
import { labName } from './zone.ts'

const rcode = { noError: 0, formErr: 1, servFail: 2, nxDomain: 3, refused: 5 } as const
const recursion = (1 << 8) | (1 << 7)
const plainUdpSizeBytes = 512
const cnameLimit = 20

/** What to send for one query. */
export interface LabReply {
  readonly name: string
  readonly type: string
  readonly messages: readonly Buffer[]
  readonly delayMs: number
}

export interface RespondContext {
  readonly zones: ZoneBook
  readonly followCname: boolean
  readonly faultAt: (name: string, type: string) => LabDnsFault | undefined
}

/** Answers one query; undefined when there is nothing sensible to say. */
export function respond(context: RespondContext, query: Buffer, overTcp: boolean): LabReply | undefined {
  const packet = decodeQuery(query)
  const question = packet?.questions?.[0]
  if (packet === undefined || question === undefined) return undefined
  const fault = context.faultAt(labName(question.name), question.type)
  const right = fit(packet, question, rightAnswer(context, packet, question), overTcp)
  const base = { name: labName(question.name), type: question.type, delayMs: 0 }
  return { ...base, ...applyFault(fault, packet, question, right, query, overTcp) }
}

function decodeQuery(query: Buffer): DecodedPacket | undefined {
  try {
    const packet = decode(query)
    return packet.flag_qr || packet.questions?.length !== 1 ? undefined : packet
  } catch {
    return undefined
  }
}

interface Draft {
  readonly code: number
  readonly flags: number
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
}

function rightAnswer(context: RespondContext, packet: DecodedPacket, question: Question): Draft {
  const answers: Answer[] = []
  let name = question.name
  let isSigned = true
  for (let step = 0; step < cnameLimit; step++) {
    const found = context.zones.find(name, question.type)
    if (found.kind === 'outside') {
      // Following a CNAME out of our zones ends the answer there, without a word about the target.
      return answers.length > 0 ? draft(packet, rcode.noError, answers, [], false) : refused()
    }
    isSigned &&= found.zone.isSigned === true
    if (found.kind === 'records') {
      answers.push(...found.records.map(record => toAnswer(record, name)))
      return draft(packet, rcode.noError, answers, [], isSigned)
    }
    if (found.kind !== 'cname') {
      const code = found.kind === 'nxdomain' ? rcode.nxDomain : rcode.noError
      return draft(packet, code, answers, [soaOf(found.zone)], isSigned)
    }
    answers.push(toAnswer(found.record, name))
    if (!context.followCname) return draft(packet, rcode.noError, answers, [], isSigned)
    name = found.target
  }
  return draft(packet, rcode.noError, answers, [], isSigned)
}

function refused(): Draft {
  return { code: rcode.refused, flags: recursion, answers: [], authorities: [] }
}

function draft(
  packet: DecodedPacket,
  code: number,
  answers: readonly Answer[],
  authorities: readonly Answer[],
  isSigned: boolean,
): Draft {
  const opt = optOf(packet)
  const isAsked = packet.flag_ad || opt?.flag_do === true
  const flags = AUTHORITATIVE_ANSWER | recursion | (isSigned && isAsked ? AUTHENTIC_DATA : 0)
  return { code, flags, answers, authorities }
}

function optOf(packet: DecodedPacket): Extract<Answer, { type: 'OPT' }> | undefined {
  return packet.additionals?.find(record => record.type === 'OPT')
}

function toAnswer(record: LabRecord, name: string): Answer {
  const base = { name, ttl: record.ttlSeconds ?? 60 }
  if (record.type !== 'TXT') return { ...base, type: record.type, data: record.data } as Answer
  const bytes = Buffer.from(record.data)
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length || at === 0; at += 255) parts.push(bytes.subarray(at, at + 255))
  return { ...base, type: 'TXT', data: parts }
}

function soaOf(zone: LabZone): Answer {
  const ttl = zone.negativeTtlSeconds ?? 60
  const apex = zone.name === '' ? '.' : zone.name
  const times = { serial: 1, refresh: 3600, retry: 600, expire: 86_400, minimum: ttl }
  const data = { mname: `ns.${zone.name}`, rname: `hostmaster.${zone.name}`, ...times }
  return { type: 'SOA', name: apex, ttl, data }
}

function build(packet: DecodedPacket, question: Question, made: Draft, extraFlags = 0): Buffer {
  const additionals: Answer[] =
    optOf(packet) === undefined
      ? []
      : [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
  return encode({
    type: 'response',
    id: packet.id ?? 0,
    flags: made.flags | extraFlags | made.code,
    questions: [question],
    answers: [...made.answers],
    authorities: [...made.authorities],
    additionals,
  })
}

function fit(packet: DecodedPacket, question: Question, made: Draft, overTcp: boolean): Buffer {
  const whole = build(packet, question, made)
  const limitBytes = Math.max(plainUdpSizeBytes, optOf(packet)?.udpPayloadSize ?? plainUdpSizeBytes)
  return overTcp || whole.length <= limitBytes ? whole : truncated(packet, question, made)
}

function truncated(packet: DecodedPacket, question: Question, made: Draft): Buffer {
  return build(packet, question, { ...made, answers: [], authorities: [] }, TRUNCATED_RESPONSE)
}

function codeOnly(packet: DecodedPacket, question: Question, code: number): Buffer {
  return build(packet, question, { code, flags: recursion, answers: [], authorities: [] })
}

type Bent = Pick<LabReply, 'messages'> & Partial<Pick<LabReply, 'delayMs'>>

function applyFault(
  fault: LabDnsFault | undefined,
  packet: DecodedPacket,
  question: Question,
  right: Buffer,
  query: Buffer,
  overTcp: boolean,
): Bent {
  switch (fault?.kind) {
    case undefined:
      return { messages: [right] }
    case 'servfail':
      return { messages: [codeOnly(packet, question, rcode.servFail)] }
    case 'refuse':
      return { messages: [codeOnly(packet, question, rcode.refused)] }
    case 'nxdomain':
      return { messages: [codeOnly(packet, question, rcode.nxDomain)] }
    case 'empty':
      return { messages: [codeOnly(packet, question, rcode.noError)] }
    case 'drop':
      return { messages: [] }
    case 'malformed':
      return { messages: [malformed(right)] }
    case 'truncated': {
      const cut = build(packet, question, refusedAsTruncated())
      return { messages: [overTcp ? right : cut] }
    }
    case 'wrong-id':
      return { messages: [withOtherId(right)] }
    case 'lower-case':
      return { messages: [lowerCaseQuestion(right)] }
    case 'no-edns':
      return {
        messages: [optOf(packet) === undefined ? right : codeOnly(packet, question, rcode.formErr)],
      }
    case 'slow':
      return { messages: [right], delayMs: fault.delayMs }
    case 'reply':
      return { messages: fault.make(query, right, overTcp) }
  }
}

function refusedAsTruncated(): Draft {
  return { code: rcode.noError, flags: recursion | TRUNCATED_RESPONSE, answers: [], authorities: [] }
}

/** Keeps id and question, claims answers that are not there. */
function malformed(right: Buffer): Buffer {
  const bytes = Buffer.concat([right.subarray(0, 12), Buffer.from([0xc0, 0xff, 0x3f, 0x01])])
  bytes.writeUInt16BE(9, 6)
  return bytes
}

function withOtherId(right: Buffer): Buffer {
  const bytes = Buffer.from(right)
  bytes.writeUInt16BE((bytes.readUInt16BE(0) + 1) & 0xffff, 0)
  return bytes
}

function lowerCaseQuestion(right: Buffer): Buffer {
  const bytes = Buffer.from(right)
  let at = 12
  while (at < bytes.length && bytes[at] !== 0) {
    const end = at + 1 + bytes[at]!
    for (let i = at + 1; i < end; i++) {
      const byte = bytes[i]!
      if (byte >= 0x41 && byte <= 0x5a) bytes[i] = byte + 0x20
    }
    at = end
  }
  return bytes
}
