// The steps between an address and a ready session.
//
// 1. Dial through the injected dialler (one guarded place may own all sockets). 2. Implicit TLS if asked. 3. Greeting.
// 4. EHLO, or HELO when EHLO is refused with 5xx. 5. STARTTLS by mode, then EHLO again: nothing learnt before TLS is kept.
// 6. AUTH, under TLS only. Each step returns null or the failure that ends the handshake.
// Invariant: the peer answers, it does not speak first. Bytes behind a reply during these steps end the connection; behind
// the 220 to STARTTLS they are an injection (RFC 3207 §6: what came before TLS must not count).

import { connect as netConnect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { replyClass, type SmtpReply } from '../reply.ts'
import { planAuth } from './auth.ts'
import { type PeerCapabilities, parseCapabilities } from './capabilities.ts'
import type { ConnectFailure, ConnectStage } from './connect-result.ts'
import type { ClientTimeouts, ConnectOptions, SmtpDial } from './options.ts'
import { Outbox } from './outbox.ts'
import type { ReplyLimits } from './reply-reader.ts'
import type { SessionFacts } from './session.ts'
import { tlsConnectionOptions, tlsFacts, usableSession } from './tls.ts'
import type { TlsFacts } from './tls-types.ts'
import { type ConnectionEnd, SmtpWire, type WireUser } from './wire.ts'

const READ_BUFFER_BYTES = 16_384
/** What peers answer that know HELO only (RFC 5321 §4.2.4). */
const unknownCommand: ReadonlySet<number> = new Set([500, 502])
const HELO_NAME = /^[!-~]{1,255}$/
const ABORTED: ConnectionEnd = { kind: 'aborted', code: 'ABORTED', message: 'connecting was aborted' }

const dialDirectly: SmtpDial = (address, port, localAddress, onread) =>
  netConnect({ host: address, port, onread, ...(localAddress === undefined ? {} : { localAddress }) })

type Why = Pick<ConnectFailure, 'kind' | 'code' | 'message'> & { readonly reply?: SmtpReply }

/** One handshake; used once. */
export class Handshake implements WireUser {
  readonly #options: ConnectOptions
  readonly #timeouts: ClientTimeouts
  readonly #replyLimits: ReplyLimits
  #wire: SmtpWire | null = null
  #stage: ConnectStage = 'connect'
  #resolve: ((answer: SmtpReply | ConnectionEnd | 'ready') => void) | null = null
  #startedMs: number | null = null
  #greeting: SmtpReply | null = null
  #hello: SmtpReply | null = null
  #isExtended = false
  #capabilities: PeerCapabilities = parseCapabilities(null)
  #tls: TlsFacts | null = null
  #authMechanism: SessionFacts['authMechanism'] = null

  constructor(options: ConnectOptions, timeouts: ClientTimeouts, replyLimits: ReplyLimits) {
    this.#options = options
    this.#timeouts = timeouts
    this.#replyLimits = replyLimits
  }

  /** Takes all steps. */
  async run(): Promise<ConnectFailure | { readonly wire: SmtpWire; readonly facts: SessionFacts }> {
    const { signal } = this.#options
    if (signal?.aborted) return this.#fail(ABORTED)
    const onAbort = () => this.#wire?.finish(ABORTED)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for (const step of Handshake.#steps) {
        const failure = await step(this)
        if (failure !== null) return failure
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    const wire = this.#wire!
    if (wire.end !== null) return this.#fail(wire.end)
    return { wire, facts: this.#facts(wire.socket) }
  }

  static readonly #steps: readonly ((handshake: Handshake) => Promise<ConnectFailure | null>)[] = [
    handshake => handshake.#dial(),
    handshake => handshake.#implicitTls(),
    handshake => handshake.#greet(),
    handshake => handshake.#sayHello(),
    handshake => handshake.#startTls(),
    handshake => handshake.#authenticate(),
  ]

  onReply(reply: SmtpReply): void {
    const wire = this.#wire!
    // A refusal may be followed by more, such as 421; anything else must stand alone.
    const isAlone = wire.bytesAhead === 0 || replyClass(reply) >= 4
    const isAwaited = this.#resolve !== null && this.#stage !== 'connect' && this.#stage !== 'tls'
    if (isAwaited && isAlone) {
      this.#answer(reply)
      return
    }
    if (reply.code === 421) {
      const message = `the peer closed the session: 421 ${reply.lines[0]}`
      wire.finish({ kind: 'said-goodbye', code: 'SAID_421', message, reply })
      return
    }
    const isInjection = this.#stage === 'starttls'
    const message = isInjection
      ? 'the peer sent bytes behind its answer to STARTTLS, before TLS began'
      : 'the peer spoke without being asked'
    wire.finish({ kind: 'protocol', code: isInjection ? 'TLS_INJECTION' : 'EARLY_REPLY', message })
  }

  onEnd(end: ConnectionEnd): void {
    this.#answer(end)
  }

  onTick(nowMs: number): void {
    this.#startedMs ??= nowMs
    if (nowMs - this.#startedMs < this.#timeouts.handshakeMs) return
    const message = 'the peer took too long from connection to a ready session'
    this.#wire?.finish({ kind: 'timeout', code: 'TIMEOUT_HANDSHAKE', message })
  }

  async #dial(): Promise<ConnectFailure | null> {
    const {
      address,
      port,
      localAddress,
      heloName,
      connect = dialDirectly,
      ticker,
      outbox = new Outbox(),
      readBuffer,
    } = this.#options
    if (!HELO_NAME.test(heloName)) {
      const message = `${JSON.stringify(heloName.slice(0, 300))} cannot be our name in EHLO; set a host name`
      return this.#fail({ kind: 'policy', code: 'BAD_HELO_NAME', message })
    }
    let wire: SmtpWire
    try {
      wire = new SmtpWire(onread => connect(address, port, localAddress, onread), {
        ticker,
        outbox,
        limits: this.#replyLimits,
        readBuffer: readBuffer ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES),
        user: this,
      })
    } catch (error) {
      const { code = 'DIAL_FAILED', message } = error as Error & { code?: string }
      return this.#fail({ kind: 'error', code, message })
    }
    this.#wire = wire
    return this.#ready('connect', this.#timeouts.connectMs, () => {
      // A socket that the dialler has destroyed is neither: its end is on the way.
      if (wire.socket.readyState === 'open') this.#answer('ready')
      else wire.socket.once('connect', () => this.#answer('ready'))
    })
  }

  async #implicitTls(): Promise<ConnectFailure | null> {
    return this.#options.tls.mode === 'implicit' ? this.#secure() : null
  }

  async #greet(): Promise<ConnectFailure | null> {
    const greeting = await this.#exchange('greeting', null, this.#timeouts.greetingMs)
    if ('stage' in greeting) return greeting
    if (greeting.code !== 220) return this.#refused(greeting, `the greeting was ${greeting.code}`)
    const { ownGreetingId = '' } = this.#options
    if (ownGreetingId !== '' && greeting.lines[0]!.split(' ').includes(ownGreetingId)) {
      const message = 'the server that answered is this one itself'
      return this.#fail({ kind: 'policy', code: 'OWN_GREETING', message, reply: greeting })
    }
    this.#greeting = greeting
    return null
  }

  async #sayHello(): Promise<ConnectFailure | null> {
    const { heloName } = this.#options
    const ehlo = await this.#exchange('ehlo', `EHLO ${heloName}\r\n`, this.#timeouts.ehloMs)
    if ('stage' in ehlo) return ehlo
    this.#isExtended = replyClass(ehlo) === 2
    this.#capabilities = parseCapabilities(this.#isExtended ? ehlo : null)
    this.#hello = ehlo
    if (this.#isExtended) return null
    if (replyClass(ehlo) !== 5) return this.#refused(ehlo, `EHLO was answered ${ehlo.code}`)
    const helo = await this.#exchange('ehlo', `HELO ${heloName}\r\n`, this.#timeouts.ehloMs)
    // "Unknown command" says nothing of us; any other refusal of EHLO is the peer's word, whatever ends the session then.
    const isWord = !unknownCommand.has(ehlo.code)
    if ('stage' in helo) {
      return isWord && helo.kind !== 'aborted'
        ? this.#refused(ehlo, `EHLO was answered ${ehlo.code}, and HELO not at all`)
        : helo
    }
    this.#hello = helo
    if (replyClass(helo) === 2) return null
    const decisive = isWord && helo.code === 421 ? ehlo : helo
    return this.#refused(decisive, `EHLO was answered ${ehlo.code} and HELO ${helo.code}`)
  }

  async #startTls(): Promise<ConnectFailure | null> {
    const { mode } = this.#options.tls
    if (mode === 'none' || mode === 'implicit') return null
    if (!this.#capabilities.hasStartTls) {
      if (mode === 'opportunistic') return null
      this.#stage = 'starttls'
      const message = 'TLS is required, but the peer does not offer STARTTLS'
      return this.#fail({ kind: 'policy', code: 'STARTTLS_NOT_OFFERED', message, reply: this.#hello! })
    }
    const reply = await this.#exchange('starttls', 'STARTTLS\r\n', this.#timeouts.starttlsMs)
    if ('stage' in reply) return reply
    if (reply.code !== 220) return this.#refused(reply, `STARTTLS was offered, then answered ${reply.code}`)
    return (await this.#secure()) ?? this.#sayHello()
  }

  /** The TLS handshake on the open connection, and our verdict on it. */
  async #secure(): Promise<ConnectFailure | null> {
    const { tls } = this.#options
    const wire = this.#wire!
    const early: Buffer[] = []
    const failure = await this.#ready('tls', this.#timeouts.tlsMs, () => {
      wire.startTls(tlsConnectionOptions(tls), () => this.#answer('ready'))
      wire.socket.on('session', (ticket: Buffer) => {
        // TLS 1.2 hands out its ticket before we have judged the certificate.
        if (this.#tls === null) early.push(ticket)
        else this.#keepSession(ticket, this.#tls)
      })
    })
    if (failure !== null) return failure
    const facts = tlsFacts(wire.socket as TLSSocket, usableSession(tls))
    this.#tls = facts
    for (const ticket of early) this.#keepSession(ticket, facts)
    if (!tls.verify || facts.isAuthorized) return null
    const message = `the certificate is not valid for ${tls.servername}: ${facts.authorizationError}`
    return this.#fail({ kind: 'policy', code: 'CERTIFICATE_INVALID', message })
  }

  #keepSession(ticket: Buffer, facts: TlsFacts): void {
    const { servername, onSession } = this.#options.tls
    const { isAuthorized, certificateFingerprint } = facts
    onSession?.({ ticket, servername, isAuthorized, certificateFingerprint })
  }

  async #authenticate(): Promise<ConnectFailure | null> {
    const { auth } = this.#options
    if (auth === undefined) return null
    this.#stage = 'auth'
    if (this.#tls === null && auth.isClearAllowed !== true) {
      const message = 'the credentials are not sent without TLS; use TLS or allow AUTH in the clear'
      return this.#fail({ kind: 'policy', code: 'AUTH_NEEDS_TLS', message })
    }
    const plan = planAuth(auth, this.#capabilities.authMechanisms)
    if (!('command' in plan)) return this.#fail({ kind: 'policy', ...plan })
    let reply = await this.#exchange('auth', `${plan.command}\r\n`, this.#timeouts.authMs)
    for (const answer of plan.answers) {
      if ('stage' in reply || reply.code !== 334) break
      reply = await this.#exchange('auth', `${answer}\r\n`, this.#timeouts.authMs)
    }
    if ('stage' in reply) return reply
    if (reply.code !== 235) return this.#refused(reply, `AUTH ${plan.mechanism} was answered ${reply.code}`)
    this.#authMechanism = plan.mechanism
    return null
  }

  /** Sends a command (null: only listens) and returns its reply. */
  async #exchange(
    stage: ConnectStage,
    command: string | null,
    timeoutMs: number,
  ): Promise<SmtpReply | ConnectFailure> {
    const answer = await this.#await(stage, timeoutMs, () => {
      if (command !== null) this.#wire!.write(command, 'latin1')
    })
    if (answer === 'ready') throw new Error('only the stages connect and tls become ready')
    return 'kind' in answer ? this.#fail(answer) : answer
  }

  async #ready(stage: ConnectStage, timeoutMs: number, begin: () => void): Promise<ConnectFailure | null> {
    const answer = await this.#await(stage, timeoutMs, begin)
    return answer !== 'ready' && 'kind' in answer ? this.#fail(answer) : null
  }

  /** Begins a step and waits for what ends it. */
  #await(
    stage: ConnectStage,
    timeoutMs: number,
    begin: () => void,
  ): Promise<SmtpReply | ConnectionEnd | 'ready'> {
    const wire = this.#wire!
    this.#stage = stage
    if (wire.end !== null) return Promise.resolve(wire.end)
    wire.arm(stage, timeoutMs)
    const { promise, resolve } = Promise.withResolvers<SmtpReply | ConnectionEnd | 'ready'>()
    this.#resolve = resolve
    begin()
    return promise
  }

  #answer(answer: SmtpReply | ConnectionEnd | 'ready'): void {
    const resolve = this.#resolve
    this.#resolve = null
    resolve?.(answer)
  }

  #refused(reply: SmtpReply, what: string): ConnectFailure {
    return this.#fail({
      kind: 'reply',
      code: String(reply.code),
      message: `${what}: ${reply.lines[0]}`,
      reply,
    })
  }

  #fail(why: Why): ConnectFailure {
    const { kind, code, message, reply = null } = why
    const wire = this.#wire
    if (wire !== null && wire.end === null) {
      // Best effort: a peer that spoke SMTP so far is told that we leave.
      wire.write('QUIT\r\n', 'latin1')
      wire.finish({ kind: 'finished', code: 'FINISHED', message: 'we closed the connection' })
    }
    return { stage: this.#stage, kind, code, message, reply, tls: this.#tls }
  }

  #facts(socket: Socket): SessionFacts {
    return {
      remoteAddress: socket.remoteAddress ?? '',
      remotePort: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? '',
      localPort: socket.localPort ?? 0,
      greeting: this.#greeting!,
      hello: this.#hello!,
      isExtended: this.#isExtended,
      capabilities: this.#capabilities,
      tls: this.#tls,
      authMechanism: this.#authMechanism,
    }
  }
}
