// Fuzz target: DNS messages from the network, from bytes to what the resolver believes.

import { isIP } from 'node:net'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { readAnswer } from './answer.ts'
import { encodeQuery, readReply } from './message.ts'
import { normaliseName } from './name.ts'
import type { DnsType } from './types.ts'

const id = 0x1234
const types: readonly DnsType[] = ['A', 'AAAA', 'MX', 'TXT', 'CNAME', 'PTR', 'TLSA']
/** A question for example.test, as on the wire. */
const question = '\x07example\x04test\x00'
const header = '\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00'

function checkRecord(type: DnsType, record: object): void {
  if ('address' in record) must(isIP(record.address as string) !== 0, 'an address is an address')
  for (const name of [record as { exchange?: string }, record as { target?: string }].flatMap(one =>
    Object.values(one),
  ))
    if (typeof name === 'string' && type !== 'TXT') must(/^[!-~]*$/.test(name), 'names are printable ASCII')
}

function check(bytes: Buffer, type: DnsType): void {
  const received = readReply(bytes, { id, name: 'example.test', type })
  if (received.kind === 'malformed') must(received.why !== '', 'what is malformed is said')
  if (received.kind !== 'reply') return
  const { reply } = received
  must(reply.answers.length <= 2000 && reply.authorities.length <= 2000, 'records are bounded')
  const reading = readAnswer(reply, 'example.test', type)
  if (reading.kind === 'records') {
    must(reading.records.length > 0, 'records are there')
    for (const record of reading.records) checkRecord(type, record)
  }
  if (reading.kind === 'alias')
    must(
      reading.target === '' || normaliseName(reading.target) === reading.target,
      'an alias leads to a name that can be asked',
    )
  if ('ttlMs' in reading && reading.ttlMs !== null)
    must(
      Number.isInteger(reading.ttlMs) && reading.ttlMs >= 0 && reading.ttlMs <= 2 ** 31 * 1000,
      'a life is a bounded number',
    )
}

export const target: FuzzTarget = {
  name: 'dns',
  invariants: [
    'every message ends in a value: a reply, not ours, or malformed with its reason',
    'addresses are addresses, names printable ASCII, lives bounded numbers; an alias can be asked',
    'a name that is asked makes a query of at most 300 octets',
  ],
  dictionary: [
    question,
    '\xc0\x0c',
    '\x00\x01\x00\x01',
    '\x00\x0f\x00\x01',
    '\x00\x05\x00\x01',
    '\x00\x10\x00\x01',
    '\x00\x1c\x00\x01',
    '\x00\x06\x00\x01',
    '\x00\x34\x00\x01',
    '\x00\x00\x00\x3c',
    '\x00\x04\x7f\x00\x00\x01',
    '\x00\x00\x29\x10\x00',
    '\x03www',
    '\x3f',
    '\xc0\x00',
    '\xff\xff',
    header,
  ],
  seeds: [
    `${header}${question}\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01`,
    `${header}${question}\x00\x0f\x00\x01\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x09\x00\x0a\x02mx\x02te\x00`,
    `${header}${question}\x00\x01\x00\x01\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x06\x03www\xc0\x0c`,
    `${header}${question}\x00\x10\x00\x01\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x04\x03abc`,
    `${header}${question}\x00\x1c\x00\x01\xc0\x0c\x00\x1c\x00\x01\x00\x00\x00\x3c\x00\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01`,
    `${header}${question}\x00\x34\x00\x01\xc0\x0c\x00\x34\x00\x01\x00\x00\x00\x3c\x00\x07\x03\x01\x01\xaa\xbb\xcc\xdd`,
    `\x12\x34\x81\x83\x00\x01\x00\x00\x00\x01\x00\x01${question}\x00\x0f\x00\x01\x04test\x00\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x16\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00`,
    '\x12\x34\x81\x81\x00\x00\x00\x00\x00\x00\x00\x00',
    // The root: its echo was once taken for somebody else's.
    '.',
  ],
  inputBytesMax: 600,
  longBytesMax: 65_535,
  run(input) {
    const ours = Buffer.from(input)
    // The right id and the answer bit, so that mutation reaches behind them.
    if (ours.length >= 4) {
      ours.writeUInt16BE(id, 0)
      ours[2] = ours[2]! | 0x80
    }
    for (const type of types) check(ours, type)
    check(input, 'MX')
    const name = normaliseName(input.toString('latin1'))
    if (name === null) return
    const query = encodeQuery({ id, name, type: 'MX' }, { hasEdns: true, isDnssecAsked: true })
    must(query.length <= 300, 'a query is small')
    const echoed = Buffer.from(query)
    echoed[2] = echoed[2]! | 0x80
    const back = readReply(echoed, { id, name, type: 'MX' })
    must(back.kind === 'reply', `a query that is echoed is a reply to itself: ${back.kind}`)
  },
}
