// The delivery engine of one relay thread: takes leased recipients, brings them to their hosts, hands back outcomes.
//
// Place on the path: queue ▶ ENGINE ▶ sink (one commit gathers many settlements). Where a batch of recipients is:
//
// State               file                  what moves it on
// waits for a plan    placing.ts            the answer of DNS, or the time in which it should have come
// ready               next-hop.ts           a connection with room (open-connection.ts), or why there is none
// in an attempt       attempts.ts           its end: some are settled, others are ready again
// waits for a report  settling.ts           the report, or that it could not be made
// gone                endings.ts            settled, or given back to the scheduled queue
//
// The engine itself is open until `drain`, then draining: what waits is given back, attempts end, nothing is begun; when
// the last one has ended, or was cut at the deadline, it is over.
// Invariants: each recipient taken leaves exactly once, as a settlement or as a give-back;
// nothing here waits for a commit.

import { reencodingsAtOnce, Turns } from '../protocol/mail/index.ts'
import { Outbox, type SmtpTicking } from '../protocol/smtp/client/index.ts'
import type { GiveBack, LeasedMessage, LeaseShares } from '../queue/index.ts'
import { Attempts } from './attempts.ts'
import type { InHand } from './delivery-batch.ts'
import { Destinations } from './destinations.ts'
import { Endings } from './endings.ts'
import type { DeliveryGauges, DeliveryPorts } from './engine-ports.ts'
import { HostHealth } from './host-health.ts'
import { NextHops } from './next-hops.ts'
import { ConnectionOpener } from './open-connection.ts'
import type { DeliveryOptions } from './options.ts'
import { ownBytesTick } from './own-bytes.ts'
import { Placing } from './placing.ts'
import { ConnectionPool } from './pool.ts'
import { ReadRoom } from './read-room.ts'
import type { RouteTable } from './route.ts'
import { StepLine } from './step-line.ts'
import { TlsSessions } from './tls-sessions.ts'
import { UngroupedHosts } from './ungrouped-hosts.ts'

const sweepEveryMs = 5_000
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

/** One per relay thread. */
export class DeliveryEngine implements SmtpTicking {
  readonly #ports: DeliveryPorts
  readonly #options: DeliveryOptions
  readonly #destinations: Destinations
  readonly #health: HostHealth
  readonly #ungrouped: UngroupedHosts = new UngroupedHosts()
  readonly #pool: ConnectionPool
  readonly #endings: Endings
  readonly #attempts: Attempts
  readonly #hops: NextHops
  readonly #placing: Placing
  readonly #stopping = new AbortController()
  #onQuiet: (() => void) | null = null
  #sweptMs = 0

  constructor(ports: DeliveryPorts, initial: DeliveryOptions) {
    this.#ports = ports
    // All parts share this copy by reference: setOptions changes it for all of them.
    const options: DeliveryOptions = { ...initial }
    this.#options = options
    this.#pool = new ConnectionPool(options)
    this.#destinations = new Destinations(ports.planner, ports.clock)
    this.#health = new HostHealth(...backoffOf(options))
    this.#endings = this.#makeEndings()
    this.#attempts = this.#makeAttempts(this.#endings)
    this.#hops = this.#makeHops(this.#endings, this.#attempts)
    const [destinations, hops, endings] = [this.#destinations, this.#hops, this.#endings]
    const { signal } = this.#stopping
    const { clock, routes, ticker } = ports
    this.#placing = new Placing({ clock, destinations, hops, endings, signal }, options, routes)
    ticker.add(this)
  }

  #makeEndings(): Endings {
    const { sink, room, clock, random, content, makeReport: make, reportIdentity: identity } = this.#ports
    const onFault = (error: unknown) => this.#ports.onFault(error)
    const reports = { content, identity, make, isCrowded: this.#ports.areReportsCrowded }
    const onLeft = () => this.#quiet()
    return new Endings({ sink, room, clock, random, reports, onFault, onLeft }, this.#options)
  }

  #makeAttempts(endings: Endings): Attempts {
    const { content, resigner, room, marks, clock } = this.#ports
    const onFault = (error: unknown) => this.#ports.onFault(error)
    const bounds = { room, reads: new ReadRoom(this.#options), encodings: new Turns(reencodingsAtOnce) }
    const attempt = { content, resigner, ...bounds, marks, clock, onFault }
    const [pool, health, ungrouped] = [this.#pool, this.#health, this.#ungrouped]
    const onOver = () => this.#quiet()
    return new Attempts({ clock, pool, health, ungrouped, marks, endings, attempt, onOver }, this.#options)
  }

  #makeHops(endings: Endings, attempts: Attempts): NextHops {
    const { planner, memory, marks, ticker, clock, connect, openSession, onConnection } = this.#ports
    const { ownGreetingId = '' } = this.#ports
    const [options, pool, health] = [this.#options, this.#pool, this.#health]
    const { signal } = this.#stopping
    const opener = new ConnectionOpener(
      {
        pool,
        health,
        ungrouped: this.#ungrouped,
        sessions: new TlsSessions(options.tlsSessionsMax),
        memory,
        ticker,
        clock,
        outbox: new Outbox(() => marks.write()),
        signal,
        ownGreetingId,
        ...(connect === undefined ? {} : { connect }),
        ...(openSession === undefined ? {} : { openSession }),
        ...(onConnection === undefined ? {} : { onConnection }),
      },
      options,
    )
    return new NextHops(planner, {
      opener,
      pool,
      steps: new StepLine(clock),
      clock,
      options,
      signal,
      run: (batch, connection, hop) => attempts.run(batch, connection, hop),
      expire: batch => endings.expire(batch),
      failed: (batch, failures) => endings.noHost(batch, failures),
      postpone: batch => endings.postpone(batch),
      placeAgain: batch => {
        if (endings.isDraining) endings.giveBack(batch)
        else this.#placing.place(batch)
      },
    })
  }

  /** Keeps room in the ready queue for a message that is being committed, if there is room; see `letGo`. */
  reserve(accountKey: number, recipients: number, contentBytes: number): boolean {
    if (this.#endings.isDraining || !this.#ports.room.fits(accountKey, recipients, contentBytes)) return false
    this.#ports.room.take(accountKey, recipients, contentBytes)
    return true
  }

  /** The commit has ended: the message comes by `enqueue` now, or not at all. */
  letGo(accountKey: number, recipients: number, contentBytes: number): void {
    this.#ports.room.release(accountKey, recipients, contentBytes)
  }

  /** How many further recipients may be leased. */
  roomRecipients(): number {
    return this.#endings.isDraining ? 0 : this.#ports.room.freeRecipients
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
    this.#placing.routes = routes
  }

  /** Forgets which hosts failed: for an operator who asks for a retry now. */
  forgetFailures(): void {
    this.#health.clear()
    this.#ungrouped.clear()
    this.#hops.forgetFailures()
  }

  /**
   * Takes responsibility for the leased recipients. `content` is the content without prefix,
   * or null to read it when needed.
   */
  enqueue(message: LeasedMessage, content: readonly Buffer[] | null): void {
    const { recipients } = message
    if (recipients.length === 0) return
    let contentBytes = 0
    if (content !== null) for (const part of content) contentBytes += part.length
    this.#ports.room.take(message.accountKey, recipients.length, contentBytes)
    const lifeMs = message.expiresAtMs - this.#ports.clock.nowMs()
    const inHand: InHand = {
      open: recipients.length,
      expiresAtMonotonicMs: this.#ports.clock.monotonicMs() + lifeMs,
      contentBytes,
      sevenBit: null,
      changedBytes: 0,
      own: null,
    }
    const batch = { message, content, inHand, reruns: 0, recipients }
    if (this.#endings.isDraining) this.#endings.giveBack(batch)
    else if (!this.#endings.expire(batch)) this.#placing.place(batch)
  }

  /** Takes back everything that is not in an attempt, so that it can go to the scheduled queue. */
  recall(): Promise<GiveBack[]> {
    const batches = [...this.#hops.drainQueues(), ...this.#destinations.takeWaiting()]
    return Promise.resolve(this.#endings.taken(batches))
  }

  /**
   * Lets attempts end and takes no new work: what waits goes back to the scheduled queue at once, and so does what still
   * comes. When `deadline` is aborted the connections are cut: what was sent to its end without a reply is then settled as
   * uncertain.
   */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#endings.isDraining = true
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
      batchesInFlight: this.#attempts.inFlight,
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
    this.#placing.placeOverdue()
    const own = ownBytesTick()
    this.#hops.eachWaiting(own)
    if (nowMs - this.#sweptMs < sweepEveryMs) return
    this.#sweptMs = nowMs
    this.#hops.sweep(nowMs)
    this.#destinations.sweep()
    this.#destinations.eachWaiting(own)
  }

  get #isBusy(): boolean {
    return this.#attempts.inFlight > 0 || this.#endings.pending > 0
  }

  #quiet(): void {
    if (this.#onQuiet === null || this.#isBusy) return
    const resolve = this.#onQuiet
    this.#onQuiet = null
    resolve()
  }
}
