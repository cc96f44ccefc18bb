// The opening of a connection: from the first byte to the greeting, and the TLS handshake whenever it comes.
//
//   1. PROXY header, when the listener asks for one: it says who the client is; 2. `handler.open`: may that one come in?
//   3. TLS handshake, when TLS is implicit; 4. one look for early talkers, the greeting.
// The handler is asked first, so that a client which is refused costs no handshake, and one that never comes to an end with
// it is counted. After STARTTLS the handshake comes in the middle of a session, and what was known before it is forgotten.
// Invariant: nothing that was read before a handshake is looked at after it; where TLS is implicit, what was read behind the
// PROXY header belongs to the handshake.

import type { SmtpReply } from '../reply.ts'
import { smtpReply } from '../reply.ts'
import { httpVerbs } from './commands.ts'
import type { CloseReason } from './observer.ts'
import { parseProxyHeader } from './proxy-protocol.ts'
import * as replies from './replies.ts'
import type { SessionCore } from './session-core.ts'
import type { HandshakeResult, Wire } from './wire.ts'

/** What the opening needs of its session beside the rest. */
export interface OpeningCore extends SessionCore {
  readonly wire: Wire
  /** The last word and its reason, when the session is to end before it has begun. */
  readonly farewell: { readonly reason: CloseReason; readonly reply: SmtpReply } | null
  /** The client's address is known: the options say whether it is trusted. */
  identified(): void
  /** Puts a reply into the next write. */
  say(reply: SmtpReply): void
  /** Closes without a word. */
  cut(reason: CloseReason): void
  endWhenIdle(): void
  handshakeEnded(error: string | null): void
}

/** The address as people write it: IPv4 inside of IPv6 is IPv4. */
export const unmappedAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

/** One a connection. */
export class Opening {
  readonly #core: OpeningCore

  constructor(core: OpeningCore) {
    this.#core = core
  }

  start(): void {
    const core = this.#core
    if (core.options.proxyProtocol === 'required') {
      core.enter('proxy')
      core.wire.listen()
    } else this.#arrived()
  }

  /** Reads it when it is there whole. */
  readProxyHeader(): void {
    const { input, facts } = this.#core
    const header = parseProxyHeader(input.buffer.subarray(input.at))
    if (header.kind === 'incomplete') return
    if (header.kind === 'bad') {
      this.#core.cut('proxy-header')
      return
    }
    input.advanceTo(input.at + header.bytes)
    if (header.source !== null) {
      facts.clientAddress = header.source.address
      facts.clientPort = header.source.port
    }
    this.#arrived()
  }

  #arrived(): void {
    const core = this.#core
    core.identified()
    core.enter('admission')
    // Under implicit TLS, too: a socket that shares its reads gives what has come only to who listens, and the handshake
    // begins with what came until the handler's answer.
    core.wire.listen()
    core.ask<null>({
      about: 'open',
      ask: () => core.handler.open(core.facts),
      answered: refusal => {
        if (refusal !== null) this.#turnAway('refused', refusal)
        else if (core.farewell !== null) this.#turnAway(core.farewell.reason, core.farewell.reply)
        else if (this.#isImplicitTls) this.#secure()
        else this.#open()
      },
    })
  }

  get #isImplicitTls(): boolean {
    return this.#core.options.tls.mode === 'implicit'
  }

  /** A client that waits for TLS could not read a line. */
  #turnAway(reason: CloseReason, reply: SmtpReply): void {
    if (this.#isImplicitTls) this.#core.cut(reason)
    else this.#core.end(reason, reply)
  }

  #secure(): void {
    const core = this.#core
    const { input } = core
    core.enter('handshake')
    input.own()
    const received = input.length > 0 ? input.buffer.subarray(input.at) : null
    this.#handshake(received, () => this.#open())
  }

  #open(): void {
    this.#core.enter('opening')
    this.#core.wire.listen()
    this.#greetAfterLook()
  }

  /** Two turns of the event loop, so that bytes that were there before the greeting have been read. */
  #greetAfterLook(): void {
    setImmediate(() => setImmediate(() => this.#greet()))
  }

  #greet(): void {
    const core = this.#core
    if (core.phase !== 'opening') return
    const { input } = core
    if (input.length > 0) {
      const isTls = input.buffer[input.at] === 0x16
      const verb = input.buffer.toString('latin1', input.at, input.at + 8).split(' ')[0] ?? ''
      if (isTls) core.end('not-smtp', replies.tlsOnPlainPort)
      else if (httpVerbs.has(verb)) core.end('not-smtp', replies.notSmtp)
      else core.end('early-talker', replies.earlyTalker)
      return
    }
    core.enter('greeted')
    const { hostname, greetingId } = core.options
    core.say(smtpReply(220, '', `${hostname} ESMTP ${greetingId}`.trimEnd()))
    core.endWhenIdle()
    core.wire.flush()
  }

  /** After the 220 to STARTTLS is queued and the conversation forgotten (RFC 3207 §4.2). */
  upgrade(): void {
    const core = this.#core
    core.enter('handshake')
    this.#handshake(null, () => {
      core.enter('greeted')
      core.wire.listen()
    })
  }

  #handshake(received: Buffer | null, secured: () => void): void {
    const core = this.#core
    const { tls } = core.options
    if (tls.mode === 'none') return
    core.input.clear()
    try {
      core.wire.startTls(tls.secureContext(), received, result => this.#handshakeDone(result, secured))
    } catch (fault) {
      core.reportFault(fault, 'tls')
      core.cut('tls-failed')
    }
  }

  #handshakeDone(result: HandshakeResult, secured: () => void): void {
    const core = this.#core
    core.handshakeEnded(result.ok ? null : result.error)
    if (!result.ok && result.fault !== undefined) core.reportFault(result.fault, 'tls')
    if (core.phase !== 'handshake') return
    if (!result.ok) {
      core.cut('tls-failed')
      return
    }
    core.facts.tls = { protocol: result.protocol, cipher: result.cipher }
    secured()
    core.endWhenIdle()
  }
}
