// One exchange with one server: a datagram out and the right one back, or a message over TCP.
//
// Each UDP query has a socket of its own, connected: the kernel picks a random source port and lets in
// nothing but datagrams from the server's address, and a dead port reports at once. Datagrams that are not
// the reply to this query are ignored; many of them mean somebody is guessing, and the caller goes to TCP.
// Every path ends in `finish` exactly once, which closes the socket and the timer. What the machine throws at an address
// or port that cannot be is an error of the network like those that it tells later.

import { type DnsQuestion, type DnsReply, encodeQuery, type QueryFlags, readReply } from './message.ts'
import type { DnsPorts } from './types.ts'

/** After so many datagrams that are not the reply, UDP is no longer trusted for this query. */
const foreignMax = 16
/** Before each message over TCP (RFC 1035 §4.2.2). */
const lengthBytes = 2

export type Exchange =
  | { readonly kind: 'reply'; readonly reply: DnsReply; readonly elapsedMs: number }
  /** `guessed`: only datagrams that are not the reply came, many of them or until the time was over. */
  | { readonly kind: 'timeout' | 'aborted' | 'guessed' }
  | { readonly kind: 'network' | 'malformed'; readonly why: string }

export interface ExchangeOptions {
  readonly ports: DnsPorts
  readonly address: string
  readonly port: number
  readonly question: DnsQuestion
  readonly flags: QueryFlags
  readonly timeoutMs: number
  /** A reply with other letter case than asked is foreign: this server is known to keep the case. */
  readonly mustKeepCase: boolean
  readonly signal: AbortSignal
}

/** Asks by UDP. */
export function askByUdp(options: ExchangeOptions): Promise<Exchange> {
  if (options.signal.aborted) return Promise.resolve({ kind: 'aborted' })
  return new Promise(resolve => {
    const { ports, question } = options
    const socket = opened(() => ports.openUdp(options.address.includes(':') ? 6 : 4), resolve)
    if (socket === null) return
    let foreign = 0
    const end = (result: Exchange): void =>
      resolve(result.kind === 'timeout' && foreign > 0 ? { kind: 'guessed' } : result)
    const finish = finisher(options, end, () => socket.close())
    const startedMs = ports.monotonicMs()
    socket.on('error', error => finish({ kind: 'network', why: error.message }))
    socket.on('message', bytes => {
      const received = readReply(bytes, question)
      if (received.kind === 'malformed') finish({ kind: 'malformed', why: received.why })
      else if (received.kind === 'foreign' || (options.mustKeepCase && !received.reply.hasSameCase)) {
        if (++foreign >= foreignMax) finish({ kind: 'guessed' })
      } else {
        finish({ kind: 'reply', reply: received.reply, elapsedMs: ports.monotonicMs() - startedMs })
      }
    })
    const onConnect = (error?: Error): void => {
      if (finish.isDone()) return
      if (error !== undefined) {
        finish({ kind: 'network', why: error.message })
        return
      }
      socket.send(encodeQuery(question, options.flags), sendError => {
        if (sendError !== null) finish({ kind: 'network', why: sendError.message })
      })
    }
    try {
      socket.connect(options.port, options.address, onConnect as () => void)
    } catch (error) {
      finish(networkError(error))
    }
  })
}

/** Asks over a fresh TCP connection (RFC 7766). */
export function askByTcp(options: ExchangeOptions): Promise<Exchange> {
  if (options.signal.aborted) return Promise.resolve({ kind: 'aborted' })
  return new Promise(resolve => {
    const { ports, question } = options
    const socket = opened(() => ports.openTcp(options.address, options.port), resolve)
    if (socket === null) return
    const finish = finisher(options, resolve, () => socket.destroy())
    const startedMs = ports.monotonicMs()
    /** The length, and once that is known the message behind it: each octet is copied once, however they come. */
    let frame = Buffer.allocUnsafe(lengthBytes)
    let haveBytes = 0
    socket.on('error', error => finish({ kind: 'network', why: error.message }))
    socket.on('close', () => finish({ kind: 'network', why: 'the server closed the connection' }))
    socket.on('connect', () => {
      const query = encodeQuery(question, options.flags)
      const framed = Buffer.alloc(lengthBytes + query.length)
      framed.writeUInt16BE(query.length)
      query.copy(framed, lengthBytes)
      socket.write(framed)
    })
    socket.on('data', (chunk: Buffer) => {
      let at = 0
      if (haveBytes < lengthBytes) {
        at = chunk.copy(frame, haveBytes)
        haveBytes += at
        if (haveBytes < lengthBytes) return
        frame = Buffer.allocUnsafe(lengthBytes + frame.readUInt16BE(0))
      }
      haveBytes += chunk.copy(frame, haveBytes, at)
      if (haveBytes < frame.length) return
      const received = readReply(frame.subarray(lengthBytes), question)
      if (received.kind === 'reply' && received.reply.isTruncated && received.reply.answers.length === 0) {
        // There is no other way left to ask, and "cut" must not be read as "nothing".
        finish({ kind: 'malformed', why: 'it was cut short over TCP too' })
      } else if (received.kind === 'reply') {
        finish({ kind: 'reply', reply: received.reply, elapsedMs: ports.monotonicMs() - startedMs })
      } else {
        const why = received.kind === 'malformed' ? received.why : 'it answers another question'
        finish({ kind: 'malformed', why })
      }
    })
  })
}

/** The socket; null when there is none to be had, and that is then the result. */
function opened<T>(open: () => T, resolve: (result: Exchange) => void): T | null {
  try {
    return open()
  } catch (error) {
    resolve(networkError(error))
    return null
  }
}

function networkError(error: unknown): Exchange {
  return { kind: 'network', why: error instanceof Error ? error.message : String(error) }
}

interface Finish {
  (result: Exchange): void
  isDone(): boolean
}

/** Timer, signal and socket end together, once, whoever comes first. */
function finisher(
  options: ExchangeOptions,
  resolve: (result: Exchange) => void,
  closeSocket: () => void,
): Finish {
  let isDone = false
  const finish = (result: Exchange): void => {
    if (isDone) return
    isDone = true
    cancelTimer()
    options.signal.removeEventListener('abort', onAbort)
    closeSocket()
    resolve(result)
  }
  const onAbort = (): void => finish({ kind: 'aborted' })
  const cancelTimer = options.ports.setTimer(options.timeoutMs, () => finish({ kind: 'timeout' }))
  options.signal.addEventListener('abort', onAbort, { once: true })
  return Object.assign(finish, { isDone: () => isDone })
}
