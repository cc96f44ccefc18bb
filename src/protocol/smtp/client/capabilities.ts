// What a peer offers in its EHLO reply (RFC 5321 §4.1.1.1, RFC 1870, RFC 9422 and the others named below).
//
// The keywords arrive as reply lines, already bounded by the reply reader (100 lines, 2 KiB each).
// Unknown keywords and malformed parameters are passed over: a peer's odd EHLO is no reason to fail.

import type { SmtpReply } from '../reply.ts'

/** Extensions a peer offers; all false and empty after HELO. */
export interface PeerCapabilities {
  /** SIZE offered (RFC 1870). */
  readonly hasSize: boolean
  /** Largest message in bytes the peer takes; null when it named none. */
  readonly sizeBytesMax: number | null
  readonly hasEightBitMime: boolean
  readonly hasSmtpUtf8: boolean
  readonly hasPipelining: boolean
  readonly hasChunking: boolean
  readonly hasDsn: boolean
  readonly hasEnhancedStatusCodes: boolean
  readonly hasStartTls: boolean
  readonly hasRequireTls: boolean
  /** Upper-case SASL mechanism names. */
  readonly authMechanisms: readonly string[]
  /**
   * LIMITS (RFC 9422): what the peer allows a transaction and a session; null where it
   * names none. The caller obeys them.
   */
  readonly rcptMax: number | null
  readonly mailMax: number | null
  readonly rcptDomainMax: number | null
}

type Draft = { -readonly [K in keyof PeerCapabilities]: PeerCapabilities[K] }

const readers: Readonly<Record<string, (draft: Draft, parameters: readonly string[]) => void>> = {
  SIZE: (draft, [size]) => {
    draft.hasSize = true
    // RFC 1870 §4: zero means no fixed limit.
    draft.sizeBytesMax = positiveInteger(size)
  },
  '8BITMIME': draft => {
    draft.hasEightBitMime = true
  },
  SMTPUTF8: draft => {
    draft.hasSmtpUtf8 = true
  },
  PIPELINING: draft => {
    draft.hasPipelining = true
  },
  CHUNKING: draft => {
    draft.hasChunking = true
  },
  DSN: draft => {
    draft.hasDsn = true
  },
  ENHANCEDSTATUSCODES: draft => {
    draft.hasEnhancedStatusCodes = true
  },
  STARTTLS: draft => {
    draft.hasStartTls = true
  },
  REQUIRETLS: draft => {
    draft.hasRequireTls = true
  },
  AUTH: (draft, mechanisms) => {
    draft.authMechanisms = [
      ...new Set([...draft.authMechanisms, ...mechanisms.map(name => name.toUpperCase())]),
    ]
  },
  LIMITS: (draft, parameters) => {
    for (const parameter of parameters) {
      const [name, value] = parameter.toUpperCase().split('=')
      if (name === 'RCPTMAX') draft.rcptMax = positiveInteger(value)
      if (name === 'MAILMAX') draft.mailMax = positiveInteger(value)
      if (name === 'RCPTDOMAINMAX') draft.rcptDomainMax = positiveInteger(value)
    }
  },
}

/** Reads the keywords of an EHLO reply; null (a HELO peer) offers nothing. */
export function parseCapabilities(ehlo: SmtpReply | null): PeerCapabilities {
  const draft: Draft = {
    hasSize: false,
    sizeBytesMax: null,
    hasEightBitMime: false,
    hasSmtpUtf8: false,
    hasPipelining: false,
    hasChunking: false,
    hasDsn: false,
    hasEnhancedStatusCodes: false,
    hasStartTls: false,
    hasRequireTls: false,
    authMechanisms: [],
    rcptMax: null,
    mailMax: null,
    rcptDomainMax: null,
  }
  for (const line of ehlo?.lines.slice(1) ?? []) {
    // `AUTH=LOGIN` is an old form that some servers still print beside the right one.
    const [keyword = '', ...parameters] = line
      .replace(/^AUTH=/i, 'AUTH ')
      .split(' ')
      .filter(Boolean)
    const name = keyword.toUpperCase()
    if (Object.hasOwn(readers, name)) readers[name]!(draft, parameters)
  }
  return draft
}

function positiveInteger(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return null
  return Number(text) || null
}
