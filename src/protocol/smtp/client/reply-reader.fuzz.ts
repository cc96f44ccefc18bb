// Fuzz target: the reader of a peer's replies, and what is made of an EHLO reply.

import assert from 'node:assert/strict'
import { cutsOf, type FuzzTarget, must } from '../../../../test/fuzz/target.ts'
import type { SmtpReply } from '../reply.ts'
import { parseCapabilities } from './capabilities.ts'
import { type ReplyLimits, ReplyReader } from './reply-reader.ts'

const limits: ReplyLimits = { linesMax: 6, bytesMax: 400, lineTextBytesMax: 60 }
/** Each byte may become `\xNN`. */
const escapedCharacters = 4

interface Read {
  readonly replies: readonly SmtpReply[]
  readonly fault: string | null
}

function readReplies(chunks: readonly Buffer[]): Read {
  const reader = new ReplyReader(limits)
  const replies: SmtpReply[] = []
  for (const chunk of chunks) {
    reader.feed(chunk)
    for (let reply = reader.next(); reply !== null; reply = reader.next()) replies.push(reply)
  }
  return { replies, fault: reader.fault }
}

function check({ code, enhanced, lines }: SmtpReply): void {
  must(Number.isInteger(code) && code >= 200 && code <= 599, 'a code is from 200 to 599')
  must(
    enhanced === '' || Number(enhanced[0]) === Math.floor(code / 100),
    'an enhanced code is of the same class',
  )
  must(lines.length >= 1 && lines.length <= limits.linesMax + 1, 'the lines are bounded')
  for (const line of lines) {
    must(line.length <= limits.lineTextBytesMax * escapedCharacters, 'the text of a line is bounded')
    must(
      !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/.test(line),
      'nothing but TAB controls or ends a line',
    )
    must(line.isWellFormed(), 'the text is Unicode')
  }
  const peer = parseCapabilities({ code, enhanced, lines })
  for (const value of [peer.sizeBytesMax, peer.rcptMax, peer.mailMax, peer.rcptDomainMax])
    must(
      value === null || (Number.isSafeInteger(value) && value > 0),
      'a limit of the peer is a positive number',
    )
}

export const target: FuzzTarget = {
  name: 'reply-reader',
  invariants: [
    'the same replies and the same fault come out however the bytes are split',
    'codes are 200 to 599, lines and their texts are bounded, texts are Unicode without control characters',
    'what an EHLO reply offers is read into bounded, positive values',
  ],
  dictionary: [
    '250-',
    '250 ',
    '421 4.7.0 ',
    '550 5.1.1 ',
    '\r\n',
    '\n',
    '2.1.0',
    'SIZE 1000',
    'AUTH PLAIN LOGIN',
    'AUTH=LOGIN',
    'PIPELINING',
    'LIMITS RCPTMAX=20 MAILMAX=5',
    'CHUNKING',
    '\xc3\xa9',
    '\xe2\x82\xac',
    '\xf0\x9f\x98\x80',
    '\x1b[31m',
  ],
  seeds: [
    '220 mx.test ESMTP\r\n',
    '250-mx.test\r\n250-SIZE 1000\r\n250-AUTH PLAIN\r\n250 LIMITS RCPTMAX=20\r\n',
    '550 5.1.1 No such user\r\n421 bye\n',
    // CRs in the middle of a long line were once taken for its end, when it came in pieces.
    `250 ${'a'.repeat(59)}\r\ra\n`,
    `250 ${'a'.repeat(59)}\r\r\r\r\r\r\n`,
    '250-2.0.0 a\r\n550 5.0.0 b\r\n',
    'not a reply\r\n',
    `250 ${'\xc3\xa9'.repeat(40)}\r\n`,
    // One byte over the limit: the LF once did not count when it came alone.
    `250-${'a'.repeat(396)}\n`,
  ],
  inputBytesMax: 500,
  run(input) {
    const whole = readReplies([input])
    for (const reply of whole.replies) check(reply)
    for (const chunks of cutsOf(input)) assert.deepEqual(readReplies(chunks), whole)
  },
}
