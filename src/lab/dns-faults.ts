// A DNS fault of the lab's own: a name that does not exist although the wildcard would answer for it.

import { type Answer, AUTHORITATIVE_ANSWER, decode, encode } from 'dns-packet'
import type { LabDnsFault } from './dns/index.ts'

const nxdomainCode = 3
const ttlSeconds = 5
const soa: Answer = {
  type: 'SOA',
  name: 'test',
  ttl: ttlSeconds,
  data: {
    mname: 'ns.lab.test',
    rname: 'hostmaster.lab.test',
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: ttlSeconds,
  },
}

/** Answers NXDOMAIN with the SOA, as RFC 2308 §2.1 wants it. */
export const nxdomainFault: LabDnsFault = {
  kind: 'reply',
  make: query => {
    const { id = 0, questions = [] } = decode(query)
    const flags = AUTHORITATIVE_ANSWER | nxdomainCode
    return [encode({ type: 'response', id, flags, questions, authorities: [soa] })]
  },
}
