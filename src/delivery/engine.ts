// The delivery engine of one relay thread: takes leased recipients, brings them to their hosts, hands back outcomes.
//
// Place on the path: queue ▶ ENGINE ▶ sink (one commit gathers many settlements). What happens to a message:
// 1. enqueue: recipients are grouped by next hop (route ▶ destination ▶ plan ▶ next hop). All of it from memory on the
//    hot path; a domain without a known plan waits, with all others of that domain, for one answer.
// 2. The next hop's ready queue holds the batch until a connection takes it (next-hop.ts, open-connection.ts).
// 3. attempt.ts runs it; outcomes go to settling.ts, recipients that must go again return to the next hop.
// Invariants: each recipient taken leaves exactly once, as a settlement or as a give-back; nothing here waits for a commit.

import type { Clock } from '../base/index.ts'
import { Outbox, type SmtpDial, type SmtpTicker, type SmtpTicking } from '../protocol/smtp/client/index.ts'
import type { GiveBack, LeasedMessage, LeasedRecipient, LeaseShares } from '../queue/index.ts'
import type { Room } from '../queue/ready/index.ts'
import { type AttemptPorts, type AttemptResult, runAttempt } from './attempt.ts'
import type { Connection, SessionOpener } from './connection.ts'
import type { ContentReader } from './content.ts'
import type { DeliveryBatch, InHand } from './delivery-batch.ts'
import { type Destination, Destinations, type PlanSource } from './destinations.ts'
import { giveBacksOf } from './give-back.ts'
import { dropFailure, type HostFailure } from './host-failure.ts'
import { HostHealth } from './host-health.ts'
import { localFailures } from './local-failure.ts'
import type { LookupAsker } from './lookup-turns.ts'
import type { NextHop } from './next-hop.ts'
import { NextHops } from './next-hops.ts'
import { type ConnectionBegin, ConnectionOpener } from './open-connection.ts'
import type { DeliveryOptions } from './options.ts'
import { decidedHere, noHost, noPlan, type RecipientOutcome } from './outcome.ts'
import { ConnectionPool } from './pool.ts'
import type { EndOfDataMarks, HostMemory, Resigner } from './port.ts'
import { ReadRoom } from './read-room.ts'
import type { ReportFactory, ReportIdentity } from './report.ts'
import type { PlanResult } from './resolve/index.ts'
import type { Loss } from './results.ts'
import { parseSmarthost, type RouteTable, type Smarthost } from './route.ts'
import { expired, type OutcomeSink, Settling } from './settling.ts'
import { tlsPolicyFor } from './tls-policy.ts'
import { TlsSessions } from './tls-sessions.ts'

/** Everything that the engine needs of the rest of the program. */
export interface DeliveryPorts {
  readonly clock: Clock
  /** From 0 up to but without 1. */
  readonly random: () => number
  /** Tells the time about once a second, for deadlines and idle connections. */
  readonly ticker: SmtpTicker
  readonly planner: PlanSource
  readonly routes: RouteTable
  readonly room: Room
  readonly sink: OutcomeSink
  readonly content: ContentReader
  readonly marks: EndOfDataMarks
  readonly memory: HostMemory
  readonly resigner: Resigner
  readonly reportIdentity: ReportIdentity
  readonly makeReport: ReportFactory
  /** Faults that cost no message (a report that could not be made). */
  onFault(error: unknown): void
  /** Default `net.connect`. */
  readonly connect?: SmtpDial
  /** Default `connectSmtp`: the seam at which a simulation puts next hops of its own. */
  readonly openSession?: SessionOpener
  /** Told how each dialling ended, for metrics. */
  readonly onConnection?: (result: ConnectionBegin) => void
}

/** Gauges for metrics. */
export interface DeliveryGauges {
  readonly recipientsInHand: number
  readonly contentBytes: number
  readonly batchesInFlight: number
  readonly connections: number
  readonly nextHops: number
}

/** Batches that waited for a plan are placed so many at a time. */
const placedPerStep = 100
const sweepEveryMs = 5_000
/** What a host lets wait too long comes again after this time or up to twice as much, so that it does not come at once. */
const postponedMs = 300_000
/** Below the retry interval with its jitter. */
const backoffShare = 0.8

/** A retry that falls due should find its host open to a probe: the back-off stays below the shortest interval. */
function backoffOf({
  retry,
  hostBackoffMs,
  hostBackoffMsMax,
}: DeliveryOptions): [firstMs: number, mostMs: number] {
  const shortestMs = Math.min(...retry.intervalsMs) * backoffShare
  return [Math.min(hostBackoffMs, shortestMs), Math.min(hostBackoffMsMax, shortestMs)]
}

function askerOf({ message, recipients }: DeliveryBatch): LookupAsker {
  return { accountKey: message.accountKey, isFirst: recipients[0]!.attempts === 0 }
}

/** One per relay thread. */
export class DeliveryEngine implements SmtpTicking {
  readonly #ports: DeliveryPorts
  readonly #attemptPorts: AttemptPorts
  readonly #options: DeliveryOptions
  readonly #destinations: Destinations
  readonly #health: HostHealth
  readonly #pool: ConnectionPool
  readonly #hops: NextHops
  readonly #settling: Settling
  readonly #stopping = new AbortController()
  #routes: RouteTable
  #inFlight = 0
  #isDraining = false
  #onQuiet: (() => void) | null = null
  #sweptMs = 0

  constructor(ports: DeliveryPorts, initial: DeliveryOptions) {
    this.#ports = ports
    // All parts share this copy by reference: setOptions changes it for all of them.
    const options: DeliveryOptions = { ...initial }
    this.#options = options
    this.#routes = ports.routes
    this.#pool = new ConnectionPool(options)
    this.#destinations = new Destinations(ports.planner, ports.clock)
    this.#health = new HostHealth(...backoffOf(options))
    const { memory, marks, ticker, clock, connect, openSession, onConnection, resigner, room } = ports
    const opener = new ConnectionOpener(
      {
        pool: this.#pool,
        health: this.#health,
        sessions: new TlsSessions(options.tlsSessionsMax),
        memory,
        ticker,
        clock,
        outbox: new Outbox(() => marks.write()),
        signal: this.#stopping.signal,
        ...(connect === undefined ? {} : { connect }),
        ...(openSession === undefined ? {} : { openSession }),
        ...(onConnection === undefined ? {} : { onConnection }),
      },
      options,
    )
    this.#hops = new NextHops(ports.planner, {
      opener,
      pool: this.#pool,
      clock,
      options,
      signal: this.#stopping.signal,
      run: (batch, connection, hop) => this.#run(batch, connection, hop),
      expire: batch => this.#expire(batch),
      failed: (batch, failures) => this.#noHost(batch, failures),
      postpone: batch => this.#postpone(batch),
      placeAgain: batch => this.#placeAgain(batch),
    })
    const { content, makeReport: make, reportIdentity: identity, sink, random } = ports
    const onFault = (error: unknown) => ports.onFault(error)
    this.#attemptPorts = { content, resigner, room, reads: new ReadRoom(options), marks, clock, onFault }
    this.#settling = new Settling(
      {
        sink,
        clock,
        random,
        reports: { content, identity, make },
        onFault,
        released: (batch, count) => this.#released(batch, count),
      },
      options,
    )
    ticker.add(this)
  }

  /** Keeps room in the ready queue for a message that is being committed, if there is room; see `letGo`. */
  reserve(accountKey: number, recipients: number, contentBytes: number): boolean {
    if (this.#isDraining || !this.#ports.room.fits(accountKey, recipients, contentBytes)) return false
    this.#ports.room.take(accountKey, recipients, contentBytes)
    return true
  }

  /** The commit has ended: the message comes by `enqueue` now, or not at all. */
  letGo(accountKey: number, recipients: number, contentBytes: number): void {
    this.#ports.room.release(accountKey, recipients, contentBytes)
  }

  /** How many further recipients may be leased. */
  roomRecipients(): number {
    return this.#isDraining ? 0 : this.#ports.room.freeRecipients
  }

  /** How many of them may be of one account. */
  leaseShares(recipientsMax: number): LeaseShares {
    return this.#ports.room.leaseShares(recipientsMax)
  }

  /**
   * Options as reloaded, for what is opened, sent and planned from now on. `mxPort`, `source.name`, `tlsSessionsMax` and
   * the bounds of the ready queue are those of the start.
   */
  setOptions(options: DeliveryOptions): void {
    const { mxPort, source, tlsSessionsMax, readyRecipientsMax, readyContentBytesMax } = this.#options
    const fixed = { mxPort, tlsSessionsMax, readyRecipientsMax, readyContentBytesMax }
    Object.assign(this.#options, options, fixed, { source: { ...options.source, name: source.name } })
    this.#health.setBackoff(...backoffOf(this.#options))
    this.#destinations.forgetPlans()
    this.#hops.forgetHosts()
  }

  /** Routes as reloaded: for recipients that come from now on. */
  setRoutes(routes: RouteTable): void {
    this.#routes = routes
  }

  /** Forgets which hosts failed: for an operator who asks for a retry now. */
  forgetFailures(): void {
    this.#health.clear()
    this.#hops.forgetFailures()
  }

  /** Takes responsibility for the leased recipients. `content` is the content without prefix, or null to read it when needed. */
  enqueue(message: LeasedMessage, content: readonly Buffer[] | null): void {
    const { recipients } = message
    if (recipients.length === 0) return
    let contentBytes = 0
    if (content !== null) for (const part of content) contentBytes += part.length
    this.#ports.room.take(message.accountKey, recipients.length, contentBytes)
    const lifeMs = message.expiresAtMs - this.#ports.clock.nowMs()
    const expiresAtMonotonicMs = this.#ports.clock.monotonicMs() + lifeMs
    const inHand: InHand = {
      open: recipients.length,
      expiresAtMonotonicMs,
      contentBytes,
      sevenBit: null,
      changedBytes: 0,
    }
    const common = { message, content, inHand, reruns: 0 }
    if (this.#isDraining) {
      this.#giveBack({ ...common, recipients })
    } else if (lifeMs < -this.#options.expiryGraceMs) {
      this.#expireUnsent({ ...common, recipients })
    } else if (recipients.length === 1) {
      this.#place({ ...common, recipients }, this.#destinationOf(recipients[0]!))
    } else {
      for (const [destination, group] of this.#grouped(recipients)) {
        this.#place({ ...common, recipients: group }, destination)
      }
    }
  }

  /** Takes back everything that is not in an attempt, so that it can go to the scheduled queue. */
  recall(): Promise<GiveBack[]> {
    const nowMs = this.#ports.clock.nowMs()
    const batches = [...this.#hops.drainQueues(), ...this.#destinations.takeWaiting()]
    const giveBacks: GiveBack[] = []
    for (const batch of batches) {
      giveBacks.push(...giveBacksOf(batch.message, batch.recipients, nowMs))
      this.#released(batch, batch.recipients.length)
    }
    return Promise.resolve(giveBacks)
  }

  /**
   * Lets attempts end and takes no new work: what waits goes back to the scheduled queue at once, and so does what still
   * comes. When `deadline` is aborted the connections are cut: what was sent to its end without a reply is then settled as
   * uncertain.
   */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#isDraining = true
    this.#ports.sink.giveBack(await this.recall())
    const cut = () => {
      this.#stopping.abort()
      for (const connection of this.#pool.all()) connection.session.destroy()
    }
    deadline.addEventListener('abort', cut, { once: true })
    if (deadline.aborted) cut()
    if (this.#isBusy) await new Promise<void>(resolve => (this.#onQuiet = resolve))
    deadline.removeEventListener('abort', cut)
    this.#stopping.abort()
    for (const connection of [...this.#pool.all()]) connection.owner?.lostConnection(connection)
    this.#ports.ticker.delete(this)
  }

  gauges(): DeliveryGauges {
    return {
      recipientsInHand: this.#ports.room.recipients,
      contentBytes: this.#ports.room.contentBytes,
      batchesInFlight: this.#inFlight,
      connections: this.#pool.size,
      nextHops: this.#hops.size,
    }
  }

  /** Called about once a second with monotonic time. */
  tick(): void {
    const nowMs = this.#ports.clock.monotonicMs()
    for (const connection of [...this.#pool.all()]) {
      const isStale = nowMs - connection.idleSinceMs >= this.#options.idleConnectionMs || !connection.isOpen
      if (connection.load === 0 && isStale) connection.owner?.lostConnection(connection)
    }
    this.#hops.tick(nowMs)
    for (const destination of this.#destinations.takeOverdue()) this.#placeOverdue(destination)
    if (nowMs - this.#sweptMs < sweepEveryMs) return
    this.#sweptMs = nowMs
    this.#hops.sweep(nowMs)
    this.#destinations.sweep()
  }

  get #isBusy(): boolean {
    return this.#inFlight > 0 || this.#settling.pending > 0
  }

  #destinationOf(recipient: LeasedRecipient): Destination {
    return this.#destinations.of(recipient.domain, this.#smarthostOf(recipient))
  }

  #smarthostOf({ route, domain }: LeasedRecipient): Smarthost | null {
    return (route === '' ? null : parseSmarthost(route)) ?? this.#routes.find(domain)
  }

  /** Recipients by next hop where it is known, else by domain: those of one next hop share transactions. */
  #grouped(recipients: readonly LeasedRecipient[]): Map<Destination, LeasedRecipient[]> {
    const groups = new Map<Destination, LeasedRecipient[]>()
    const firstOfHop = new Map<string, Destination>()
    for (const recipient of recipients) {
      const own = this.#destinationOf(recipient)
      const hopKey = this.#hops.knownKey(this.#destinations.peek(own), own.smarthost)
      const destination = hopKey === null ? own : (firstOfHop.get(hopKey) ?? own)
      if (hopKey !== null) firstOfHop.set(hopKey, destination)
      const group = groups.get(destination)
      if (group === undefined) groups.set(destination, [recipient])
      else group.push(recipient)
    }
    return groups
  }

  #place(batch: DeliveryBatch, destination: Destination): void {
    const result = this.#destinations.peek(destination)
    if (result !== null) this.#placeWith(result, batch, destination)
    else if (destination.waiting !== null) {
      destination.waiting.push(batch)
      this.#destinations.join(destination, askerOf(batch))
    } else {
      destination.waiting = [batch]
      void this.#resolve(destination, askerOf(batch))
    }
  }

  #placeAgain(batch: DeliveryBatch): void {
    if (this.#isDraining) this.#giveBack(batch)
    else
      for (const [destination, recipients] of this.#grouped(batch.recipients))
        this.#place({ ...batch, recipients }, destination)
  }

  #placeWith(result: PlanResult, batch: DeliveryBatch, destination: Destination): void {
    if (result.kind === 'failure') {
      const atMs = this.#ports.clock.nowMs()
      this.#settle(
        batch,
        batch.recipients.map(recipient => noPlan(recipient, result, atMs)),
      )
      return
    }
    const { smarthost } = destination
    const ageMs = this.#ports.clock.nowMs() - batch.message.acceptedAtMs
    const policy = tlsPolicyFor(smarthost, ageMs, this.#options.tlsFallbackAfterMs)
    this.#hops.find(destination, result, policy).push(batch)
  }

  async #resolve(destination: Destination, asker: LookupAsker): Promise<void> {
    const result = await this.#destinations.resolve(destination, asker, this.#stopping.signal)
    const step = () => {
      for (const batch of destination.waiting?.splice(0, placedPerStep) ?? []) {
        this.#placeWith(result, batch, destination)
      }
      if (destination.waiting !== null && destination.waiting.length > 0) setImmediate(step)
      else destination.waiting = null
    }
    step()
  }

  /** The new plan does not come: what waits for it goes by the old one. It is still asked for. */
  #placeOverdue(destination: Destination): void {
    const result = this.#destinations.peek(destination)
    if (result === null || destination.waiting === null) return
    for (const batch of destination.waiting.splice(0, placedPerStep)) {
      this.#placeWith(result, batch, destination)
    }
    if (destination.waiting.length > 0) setImmediate(() => this.#placeOverdue(destination))
  }

  #run(batch: DeliveryBatch, connection: Connection, hop: NextHop): void {
    this.#inFlight++
    const limits = {
      recipientsMax: hop.recipientsMax,
      wholeContentBytesMax: this.#options.wholeContentBytesMax,
      mayRerun: batch.reruns < this.#options.rerunsMax,
    }
    const startedMs = this.#ports.clock.monotonicMs()
    void runAttempt(batch, connection, this.#attemptPorts, limits).then(result => {
      if (result.outcomes.length > 0) connection.tookMs(this.#ports.clock.monotonicMs() - startedMs)
      this.#ran(batch, connection, hop, result)
    })
  }

  #ran(batch: DeliveryBatch, connection: Connection, hop: NextHop, result: AttemptResult): void {
    const { outcomes, again, markToken } = result
    const { marks } = this.#ports
    if (outcomes[0]?.outcome.source === 'reply' && connection.answered++ === 0) {
      connection.isBlamed = false
      this.#health.succeeded(connection.remoteAddress)
      this.#health.succeeded(connection.key)
    }
    if (outcomes.length > 0) {
      const clear = markToken < 0 ? null : () => marks.clear(markToken)
      this.#settling.settle(batch, outcomes, connection.session.facts.capabilities.hasDsn, clear)
    } else if (markToken >= 0) marks.clear(markToken)
    const isLost = result.lost !== null && this.#isLost(connection, result.lost, outcomes)
    if (again.length > 0) this.#again(batch, hop, result, isLost)
    this.#inFlight--
    hop.ran(connection)
    this.#quiet()
  }

  /**
   * Does this end of a connection count as a try? A host that never answered anything is one that failed, and the next
   * connection goes to another one.
   */
  #isLost(connection: Connection, loss: Loss, outcomes: readonly RecipientOutcome[]): boolean {
    const { end } = connection.session
    const isUnanswered = connection.answered === 0 && !outcomes.some(one => one.outcome.source === 'reply')
    // Who came to a connection just when it ended has not been tried.
    if (loss.how === 'not-started' && (end === null || !isUnanswered)) return false
    if (isUnanswered && !connection.isBlamed) this.#blame(connection, loss)
    return true
  }

  #blame(connection: Connection, { isInData }: Loss): void {
    const { session, remoteAddress, tls } = connection
    const isSilent = session.end?.kind === 'timeout'
    connection.isBlamed = true
    // Others at a silent host, opened while we waited, are as silent: what waits must not go through them one by one.
    if (isSilent)
      for (const other of this.#pool.all())
        if (other.remoteAddress === remoteAddress && other.answered === 0) other.isBlamed = true
    const why = session.end?.message ?? 'the connection was lost'
    const failure = dropFailure(connection, tls, why, { isTimeout: isSilent, isInData })
    this.#health.failed(remoteAddress, failure, this.#ports.clock.monotonicMs())
  }

  #again(batch: DeliveryBatch, hop: NextHop, result: AttemptResult, isLost: boolean): void {
    if (result.why === 'too-many-recipients') {
      const taken = batch.recipients.length - result.again.length
      if (taken > 0) hop.tookOnly(taken)
    }
    const rest = { ...batch, recipients: result.again, reruns: batch.reruns + (isLost ? 1 : 0) }
    if (this.#isDraining) this.#giveBack(rest)
    else hop.putBack(rest)
  }

  #noHost(batch: DeliveryBatch, failures: readonly HostFailure[]): void {
    if (this.#isDraining) {
      this.#giveBack(batch)
      return
    }
    const atMs = this.#ports.clock.nowMs()
    this.#settle(
      batch,
      batch.recipients.map(recipient => noHost(recipient, failures, atMs)),
    )
  }

  #expire(batch: DeliveryBatch): boolean {
    const lateMs = this.#ports.clock.monotonicMs() - batch.inHand.expiresAtMonotonicMs
    if (lateMs <= this.#options.expiryGraceMs || this.#isDraining) return false
    this.#expireUnsent(batch)
    return true
  }

  #expireUnsent(batch: DeliveryBatch): void {
    const atMs = this.#ports.clock.nowMs()
    const failure = localFailures.expiredUnsent()
    this.#settle(
      batch,
      batch.recipients.map(recipient => expired(decidedHere(recipient, failure, null, atMs, false))),
    )
  }

  #settle(batch: DeliveryBatch, outcomes: readonly RecipientOutcome[]): void {
    this.#settling.settle(batch, outcomes, false, null)
  }

  #postpone(batch: DeliveryBatch): void {
    const nowMs = this.#ports.clock.nowMs()
    const dueAtMs = nowMs + Math.round(postponedMs * (1 + this.#ports.random()))
    const nextAttemptAtMs = Math.max(nowMs, Math.min(dueAtMs, batch.message.expiresAtMs))
    const giveBacks = giveBacksOf(batch.message, batch.recipients, nextAttemptAtMs, 'site-unreachable')
    this.#ports.sink.giveBack(giveBacks)
    this.#released(batch, batch.recipients.length)
  }

  #giveBack(batch: DeliveryBatch): void {
    this.#ports.sink.giveBack(giveBacksOf(batch.message, batch.recipients, this.#ports.clock.nowMs()))
    this.#released(batch, batch.recipients.length)
  }

  #released(batch: DeliveryBatch, count: number): void {
    const { inHand } = batch
    inHand.open -= count
    const isLast = inHand.open === 0
    this.#ports.room.release(batch.message.accountKey, count, isLast ? inHand.contentBytes : 0)
    if (isLast && inHand.changedBytes > 0) this.#ports.room.releaseChanged(inHand.changedBytes)
    this.#quiet()
  }

  #quiet(): void {
    if (this.#onQuiet === null || this.#isBusy) return
    const resolve = this.#onQuiet
    this.#onQuiet = null
    resolve()
  }
}
