// What the doors tell: log lines, metrics and the `rejected` event, from one place.
//
// Place: beside intake, in each relay thread. Only what an identified account did reaches the event log:
// strangers must not be able to fill it.

import type { Clock } from '../base/index.ts'
import { type NewEvent, packRejected } from '../events/index.ts'
import { type DoorFacts, type DoorObserver, type Principal, type Refusal, refusals } from '../intake/index.ts'
import type { SmtpReply, SmtpSessionSummary } from '../protocol/smtp/index.ts'
import {
  type Log,
  type LogEventName,
  type LogFields,
  LogThrottle,
  type Metrics,
  type Tally,
} from '../telemetry/index.ts'

const ordinaryEnds: ReadonlySet<SmtpSessionSummary['reason']> = new Set([
  'quit',
  'client-gone',
  'refused',
  'command-idle',
  'session-time',
  'mail-limit',
  'drain',
  'destroyed',
])

/** Watches the doors of one relay thread. */
export class DoorWatch implements DoorObserver {
  readonly #log: Log
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #addEvent: (event: NewEvent) => void
  readonly #acceptedBySmtp: Tally
  readonly #logsAccepted: boolean
  readonly #throttle: LogThrottle = new LogThrottle()

  /** @param addEvent writes to the event log, soon, in some commit */
  constructor(log: Log, metrics: Metrics, clock: Clock, addEvent: (event: NewEvent) => void) {
    this.#log = log
    this.#metrics = metrics
    this.#clock = clock
    this.#addEvent = addEvent
    this.#acceptedBySmtp = metrics.accepted.child('smtp')
    this.#logsAccepted = log.writes('message.accepted')
  }

  /** A connection was turned away before the greeting. */
  turnedAway(refusal: Refusal, clientAddress: string): void {
    this.#metrics.sessionsRefused.inc(refusal.code)
    this.#write('session.refused', `session ${refusal.code}`, { reason: refusal.code, clientAddress })
  }

  /** A door could not take a connection. */
  acceptFailed(address: string, code: string): void {
    this.#write('listener.accept-failed', 'accept', { address, code })
  }

  /** A session is over. What strangers tried is looked for in the log; an end that ordinary clients come to is not told. */
  ended({ reason, clientAddress }: SmtpSessionSummary): void {
    if (ordinaryEnds.has(reason)) return
    this.#metrics.sessionsCutOff.inc(reason)
    this.#write('session.cut-off', `cut off ${reason}`, { reason, clientAddress })
  }

  /** A fault of ours in a session. */
  faulted(err: unknown, during: string): void {
    this.#write('session.fault', 'fault', { err, during })
  }

  authenticated(): void {
    this.#metrics.logins.inc('succeeded')
  }

  accepted(
    principal: Principal,
    door: DoorFacts,
    recipients: number,
    sizeBytes: number,
    waitMs: number,
  ): void {
    this.#acceptedBySmtp.inc()
    this.#metrics.acceptSeconds.observe(waitMs / 1000)
    if (!this.#logsAccepted) return
    const { clientAddress } = door
    this.#log.event('message.accepted', {
      account: principal.account.name,
      clientAddress,
      recipients,
      sizeBytes,
    })
  }

  refused(
    refusal: Refusal,
    principal: Principal | null,
    door: DoorFacts,
    reversePath: string,
    forwardPath: string,
  ): void {
    this.#metrics.rejected.inc(refusal.code)
    const isLogin = refusal.code === 'authentication-failed'
    if (isLogin) this.#metrics.logins.inc('failed')
    const account = principal?.account.name ?? ''
    const { clientAddress } = door
    this.#write(isLogin ? 'auth.failed' : 'message.rejected', refusal.code, {
      reason: refusal.code,
      account,
      clientAddress,
      reversePath,
      forwardPath,
      detail: refusal.detail ?? refusal.text,
    })
    // Only what an account did is in its event log: strangers must not be able to fill it.
    if (principal === null) return
    const { code, enhanced } = refusals[refusal.code]
    this.#reject(
      principal,
      packRejected({
        reversePath,
        forwardPath,
        code,
        enhancedCode: enhanced,
        text: refusal.text,
        clientAddress,
        username: principal.username,
      }),
    )
  }

  refusedByProtocol(
    reply: SmtpReply,
    principal: Principal,
    door: DoorFacts,
    reversePath: string,
    forwardPath: string,
  ): void {
    this.#metrics.rejected.inc('protocol')
    const { clientAddress } = door
    const { code, enhanced: enhancedCode } = reply
    const text = reply.lines.join(' ')
    const account = principal.account.name
    this.#write('message.rejected', 'protocol', {
      reason: 'protocol',
      account,
      clientAddress,
      reversePath,
      forwardPath,
      detail: text,
    })
    const { username } = principal
    this.#reject(
      principal,
      packRejected({ reversePath, forwardPath, code, enhancedCode, text, clientAddress, username }),
    )
  }

  /** Bounded by kind: strangers, and a full disk, cause these. */
  #write(name: LogEventName, kind: string, fields: LogFields): void {
    const leftOut = this.#throttle.pass(kind, this.#clock.monotonicMs())
    if (leftOut !== null) this.#log.event(name, leftOut === 0 ? fields : { ...fields, leftOut })
  }

  #reject(principal: Principal, facts: Buffer): void {
    this.#addEvent({
      type: 'rejected',
      atMs: this.#clock.nowMs(),
      accountKey: principal.account.key,
      streamKey: principal.stream.key,
      messageId: null,
      recipientNumber: -1,
      facts,
    })
  }
}
