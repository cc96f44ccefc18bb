// The resolver's words: record shapes, results as values, and what it takes from outside.
//
// Nothing here runs. Names are lower-case A-labels without the last dot; the root is ''.
// Every result is a value: a broken server, a lie or a timeout never throws.

import type { Socket as UdpSocket } from 'node:dgram'
import type { Socket as TcpSocket } from 'node:net'

/** Records by type, as callers see them. */
export interface DnsRecords {
  A: { readonly address: string }
  AAAA: { readonly address: string }
  /** The exchange of a null MX (RFC 7505) is ''. */
  MX: { readonly preference: number; readonly exchange: string }
  /** The strings of one TXT record joined; `text` is the same as UTF-8. */
  TXT: { readonly text: string; readonly bytes: Buffer }
  CNAME: { readonly target: string }
  NS: { readonly target: string }
  PTR: { readonly target: string }
  /** RFC 6698 §2.1. */
  TLSA: {
    readonly usage: number
    readonly selector: number
    readonly matchingType: number
    readonly certificate: Buffer
  }
}

export type DnsType = keyof DnsRecords

/** There are records of this type. */
export interface DnsAnswer<T extends DnsType = DnsType> {
  readonly kind: 'answer'
  /** In the order of the answer; never empty. */
  readonly records: readonly DnsRecords[T][]
  /** How long this may still be used, from now; already clamped. */
  readonly ttlMs: number
  /** A trusted server said that DNSSEC proves it (AD bit), for every step of a CNAME chain. */
  readonly isAuthenticated: boolean
  /** The name that owns the records: differs from the question behind a CNAME. */
  readonly canonicalName: string
}

/** The name has no records of this type (`nodata`), or does not exist at all (`nxdomain`). */
export interface DnsNegative {
  readonly kind: 'nodata' | 'nxdomain'
  readonly ttlMs: number
  readonly isAuthenticated: boolean
}

/** Why there is no answer. `SERVFAIL` and so on are the server's codes (RFC 1035 §4.1.1), the rest ours. */
export type DnsFailureCode =
  | 'SERVFAIL'
  | 'REFUSED'
  | 'NOTIMP'
  | 'FORMERR'
  /** Another response code; the text names it. */
  | 'RCODE'
  | 'TIMEOUT'
  /** The socket could not be opened or was refused. */
  | 'NETWORK'
  /** What came back is no DNS message, or contradicts itself. */
  | 'MALFORMED'
  /** CNAMEs in a circle or more than eight. */
  | 'CNAME_CHAIN'
  /** The name asked for cannot stand in a query. */
  | 'BAD_NAME'
  /** Too many queries are waiting. */
  | 'OVERLOADED'
  /** The caller's signal. */
  | 'ABORTED'

/** No answer now; trying later may help, except for BAD_NAME. */
export interface DnsFailure {
  readonly kind: 'failure'
  readonly code: DnsFailureCode
  /** One sentence for people: name, type, server and reason. */
  readonly text: string
  /** `address:port` of the last server asked, '' when none was. */
  readonly server: string
  /** How long the resolver itself will repeat this without asking again; 0 when not remembered. */
  readonly ttlMs: number
}

export type DnsResult<T extends DnsType = DnsType> = DnsAnswer<T> | DnsNegative | DnsFailure

/** One recursive server to ask. */
export interface DnsServer {
  readonly address: string
  /** Default 53. */
  readonly port?: number
  /** Believe its AD bit: it validates, and the way to it cannot be forged. Default false. */
  readonly isTrusted?: boolean
}

/** What the resolver takes from the machine. `machinePorts` is the real one; tests move the clock. */
export interface DnsPorts {
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number
  /** An unpredictable integer from 0 up to but without `limit`: ids and letter case depend on it. */
  readonly randomInt: (limit: number) => number
  /** A fresh UDP socket, not bound; connecting it picks a random port. */
  readonly openUdp: (family: 4 | 6) => UdpSocket
  /** A TCP connection on its way. */
  readonly openTcp: (address: string, port: number) => TcpSocket
  /** Calls back once after `delayMs`; the returned function cancels. Must not keep the process alive. */
  readonly setTimer: (delayMs: number, run: () => void) => () => void
}

/** Limits and times of the resolver, all with defaults. */
export interface DnsOptions {
  /** Asked in this order while healthy. At least one. */
  readonly servers: readonly DnsServer[]
  readonly ports: DnsPorts
  /** Wait for one server in the first round; doubled in each later one. Default 2,000. */
  readonly attemptTimeoutMs?: number
  /** How often each server is asked before the query has timed out. Default 2. */
  readonly rounds?: number
  /** Queries on the wire at once, each with its own socket. Default 200. */
  readonly inFlightMax?: number
  /** Queries waiting for that; more fail as OVERLOADED. Default 10,000. */
  readonly waitingMax?: number
  /** Names and types remembered; the least recently used goes first. Default 20,000. */
  readonly cacheEntriesMax?: number
  /** What these take together, about; the same go first. Default 32 MiB. */
  readonly cacheBytesMax?: number
  /** Shortest life of a positive answer. Default 5,000. */
  readonly ttlMsMin?: number
  /** Longest life of a positive answer. Default one day. */
  readonly ttlMsMax?: number
  /** Longest life of a negative answer (RFC 2308 §5 advises one to three hours). Default one hour. */
  readonly negativeTtlMsMax?: number
  /** Life of a failure (RFC 9520 §3.2: 1 s to 5 min). Default 5,000. */
  readonly failureTtlMs?: number
  /** Told when a server fails for the second time in a row, and when it answers again. */
  readonly onServer?: (server: string, isUp: boolean) => void
  /** Mix the case of letters in questions and check the echo. Default true. */
  readonly mixCase?: boolean
}
