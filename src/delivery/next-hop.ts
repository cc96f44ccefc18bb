// A next hop: one set of MX hosts (or one smarthost) under one TLS policy, with its ready queue and its connections.
//
// Place on the path: the batch waits here until a connection takes it. Several next hops of one site share an egress path.
//
// State                     what pump() does
// connections with room     hands out batches, first to connections without load
// backlog outgrows them     opens more, at most as many at once as have been answered something; one while there is none
// an opening came to naught grows no further before the next tick (others on the path may)
// hosts or pool are full    waits in line while it has no connection of its own; in the pool an idle one makes room
// hosts let us wait long    keeps a quarter of the room at most; the rest goes back to the scheduled queue for a while
// its hosts were forgotten  has what waits placed again, in steps
// hosts just failed         ends all that wait with that failure, in steps; after these and the back-off an opening probes
// empty                     nothing; connections go by idle time
//
// Invariants: a batch is in the queue, in a connection, or handed back, never in two places; no opening while none is due.

import { ReadyQueue } from '../queue/ready/index.ts'
import type { Connection, ConnectionOwner } from './connection.ts'
import type { DeliveryBatch } from './delivery-batch.ts'
import type { SlotWaiter } from './egress-path.ts'
import { GrowthPause } from './growth-pause.ts'
import type { HopPorts, HopTarget } from './hop-ports.ts'
import { type HostFailure, mostTelling } from './host-failure.ts'
import type { OpenResult, OpenTarget } from './open-connection.ts'
import type { HostWaiter } from './pool.ts'
import type { StepMember } from './step-line.ts'

const noKeys: readonly string[] = []
/** A host that has not greeted, or answered its first message, for so long keeps only a share of the room waiting. */
const unansweredMs = 15_000
const unansweredShare = 1 / 4
/** Failing batches are settled so many at a time, to leave the event loop free. */
const failedPerStep = 100

/** See the head of the file. */
export class NextHop implements ConnectionOwner, SlotWaiter, HostWaiter, StepMember {
  readonly target: HopTarget
  readonly queue: ReadyQueue<DeliveryBatch> = new ReadyQueue<DeliveryBatch>()
  readonly connections: Connection[] = []
  #recipientsTaken = Number.POSITIVE_INFINITY
  /** Out of use: the engine makes a new one. */
  isClosed = false
  #inFlight = 0
  readonly #ports: HopPorts
  #openings = 0
  /** Since when there has been an opening under way. */
  #openingSinceMs = 0
  #failures: readonly HostFailure[] | null = null
  #failedUntilMs = 0
  /** So many batches waited when the hosts failed, and are to end with that; a step is planned as long as there are any. */
  #endsDue = 0
  readonly #pause = new GrowthPause()
  /** What `servingKeys` answers, for the hosts of this plan. */
  #servingKeys: readonly string[] = noKeys
  #servingPlan = -1
  lastUsedMs: number

  constructor(target: HopTarget, ports: HopPorts) {
    this.target = target
    this.#ports = ports
    this.lastUsedMs = ports.clock.monotonicMs()
  }

  get isEmpty(): boolean {
    return this.queue.size + this.connections.length + this.#openings + this.#inFlight === 0
  }

  /** Recipients of a transaction: as many as are allowed, and as this next hop is known to take. */
  get recipientsMax(): number {
    return Math.min(this.#recipientsTaken, this.#ports.options.recipientsPerTransaction)
  }

  /** It is to be kept for a while after its last use: what it has learnt of its hosts would have to be learnt again. */
  get hasLearnt(): boolean {
    return this.#recipientsTaken < Number.POSITIVE_INFINITY
  }

  /** "Too many recipients": it took only so many. */
  tookOnly(recipients: number): void {
    this.#recipientsTaken = Math.min(this.#recipientsTaken, recipients)
  }

  push(batch: DeliveryBatch): void {
    this.queue.push(batch)
    this.pump()
  }

  putBack(batch: DeliveryBatch): void {
    this.queue.putBack(batch)
  }

  /** Hands out what can be handed out, opens what should be opened. */
  pump(): void {
    let expired = 0
    while (this.queue.size > 0) {
      const connection = this.#free()
      if (connection === null) break
      const batch = this.queue.shift()!
      if (this.#ports.expire(batch)) {
        // A whole queue may be too late: in steps, to leave the event loop free.
        if (++expired < failedPerStep) continue
        this.#planStep()
        return
      }
      // Here and not when its content is at hand: others are handed out meanwhile.
      connection.messages++
      connection.load++
      this.#inFlight++
      this.#ports.run(batch, connection, this)
    }
    if (this.queue.size > 0) this.#grow()
  }

  /** A batch on this connection is over. */
  ran(connection: Connection): void {
    connection.load--
    this.#inFlight--
    if (connection.load === 0) {
      connection.idleSinceMs = this.lastUsedMs = this.#ports.clock.monotonicMs()
      if (!connection.isOpen) this.lostConnection(connection)
    } else if (connection.session.end !== null) this.#forget(connection)
    this.pump()
    if (connection.load > 0) return
    const { pool } = this.#ports
    const isExpected = connection.isOpen && pool.hostHasRoom(connection.key)
    // Who was told may have taken it.
    if (connection.owner !== this || connection.load > 0) return
    const { path } = this.target
    if (path.isWantedBeside(this)) {
      if (!connection.isOpen || !path.passOn(connection)) this.lostConnection(connection)
    } else if (pool.isWanted && !isExpected) this.lostConnection(connection)
  }

  servingKeys(): readonly string[] {
    const { plans } = this.target.hosts
    if (plans !== this.#servingPlan) {
      this.#servingPlan = plans
      this.#servingKeys = this.#ports.opener.servingKeys(this.#openTarget())
    }
    return this.#servingKeys
  }

  mayInherit(connection: Connection): boolean {
    if (this.queue.size === 0 || this.isClosed || connection.owner === this) return false
    return this.#ports.opener.serves(connection, this.#openTarget())
  }

  inherit(connection: Connection): void {
    if (connection.owner instanceof NextHop) connection.owner.giveAway(connection)
    this.adopt(connection)
    this.#forgetFailures()
    this.pump()
  }

  /** Once a second: a head that waits although nothing grew may get one connection more. */
  tick(nowMs: number): void {
    this.#pause.tick(nowMs, this.target.hosts.areKnown)
    if (this.queue.size === 0) return
    this.pump()
    const { live, proven } = this.#count()
    if (live + this.#openings > 0 && proven === 0) this.#trim(nowMs)
    // Two that wait for their first answer are enough: the host may be silent to all.
    const isTold = proven > 0 || live < 2
    const mayGrow = !this.#pause.isOn && this.#openings === 0 && this.#failures === null
    if (this.queue.size > 0 && mayGrow && isTold) this.#open()
    this.lastUsedMs = nowMs
  }

  /** Gives back what is too much to wait for a first answer that does not come, the least urgent of it. */
  #trim(nowMs: number): void {
    const recipientsMax = Math.floor(this.#ports.options.readyRecipientsMax * unansweredShare)
    const isOpening = this.#openings > 0 && nowMs - this.#openingSinceMs >= unansweredMs
    const isPatient = !isOpening && this.connections.every(one => nowMs - one.idleSinceMs < unansweredMs)
    if (isPatient || this.queue.recipients <= recipientsMax) return
    for (const batch of this.queue.drain())
      if (this.queue.recipients + batch.recipients.length <= recipientsMax) this.queue.push(batch)
      else this.#ports.postpone(batch)
  }

  lostConnection(connection: Connection): void {
    if (!this.#forget(connection)) return
    void connection.session.quit()
  }

  /** Takes over an idle connection of another next hop, or a new one. */
  adopt(connection: Connection): void {
    this.#pause.leaveLine()
    connection.owner = this
    this.connections.push(connection)
    connection.session.onIdleEnd = () => this.lostConnection(connection)
  }

  get needsHost(): boolean {
    return this.queue.size > 0 && this.#count().live + this.#openings === 0 && !this.isClosed
  }

  hostHasRoom(): void {
    this.#pause.end()
    this.pump()
  }

  /** The hosts may be tried again: as soon as it is its turn, since all next hops are told of it at once. */
  forgetFailures(): void {
    this.#forgetFailures()
    this.#pause.end()
    if (this.queue.size > 0) this.#planStep()
  }

  /** Stands in line for the hosts with these keys, unless one became free while others were dialled, told to nobody. */
  #awaitHosts(keys: readonly string[]): void {
    const { pool, clock } = this.#ports
    if (this.#pause.looksAgain() && keys.some(key => pool.hasRoom(key))) {
      this.#pause.set(false)
      if (this.queue.size > 0) this.#grow()
    } else this.#pause.standInLine(clock.monotonicMs(), pool.awaitHost(keys, this))
  }

  /** Gives an idle connection away: the slot moves with it. */
  giveAway(connection: Connection): void {
    const at = this.connections.indexOf(connection)
    if (at >= 0) this.connections.splice(at, 1)
  }

  #forget(connection: Connection): boolean {
    if (!this.#ports.pool.remove(connection)) return false
    this.giveAway(connection)
    this.#ports.pool.hostHasRoom(connection.key)
    connection.path.release()
    this.#ports.pool.placeIsFree()
    return true
  }

  /**
   * A connection that should take the next batch. Fast ones are loaded first: a transaction that waits in a connection
   * leaves in the same write as the content before it. Then an idle one; then any, when more waits than there are
   * connections.
   */
  #free(): Connection | null {
    const { transactionsPerConnection } = this.#ports.options
    const share = this.connections.length === 0 ? 0 : this.queue.size / this.connections.length
    const loadMax = share > 1 ? Math.min(transactionsPerConnection, 1 + Math.floor(share)) : 1
    let idle: Connection | null = null
    let best: Connection | null = null
    for (const one of this.connections) {
      if (!one.isOpen) continue
      if (one.load > 0 && one.load < transactionsPerConnection && one.isFast) return one
      if (one.load === 0) idle ??= one
      else if (one.load < loadMax && (best === null || one.load < best.load)) best = one
    }
    return idle ?? best
  }

  /** Connections of use, and those of them that have been answered something. */
  #count(): { readonly live: number; readonly proven: number } {
    let live = 0
    let proven = 0
    for (const one of this.connections) {
      if (!one.isBlamed) live++
      if (one.answered > 0) proven++
    }
    return { live, proven }
  }

  #grow(): void {
    if (this.#pause.isOn && this.#failures === null) return
    const { live: open, proven } = this.#count()
    if (this.#failures !== null) {
      // What waited when they failed ends first: without a back-off each push would put its end off by an opening.
      const isOver = this.#endsDue === 0 && this.#ports.clock.monotonicMs() >= this.#failedUntilMs
      if (open > 0 || isOver) this.#forgetFailures()
      else {
        this.#planStep()
        return
      }
    }
    if (this.#pause.isOn) return
    // Until a first connection has been answered something, more of them tell us nothing.
    if (open > 0 && proven === 0) return
    const surplus = Math.ceil(this.queue.size / this.#ports.options.backlogPerConnection) - 1
    const wanted = open === 0 ? 1 : open + surplus
    while (this.#openings < Math.max(1, proven) && open + this.#openings < wanted) {
      if (!this.#open()) return
    }
  }

  #open(): boolean {
    const { path, hosts } = this.target
    if (!hosts.areKnown) {
      this.#planStep()
      return false
    }
    // At a full site no place would help.
    if (!path.isFull && !this.#hasPlace()) return false
    if (!path.acquire(this)) return false
    if (this.#openings++ === 0) this.#openingSinceMs = this.#ports.clock.monotonicMs()
    this.#ports.pool.reserve()
    void this.#ports.opener.open(this.#openTarget()).then(result => this.#opened(result))
    return true
  }

  /** When all places are taken, an idle connection is closed: else mail to a thousand hosts keeps all others waiting. */
  #hasPlace(): boolean {
    const { pool } = this.#ports
    if (!pool.isFull) return true
    const idle = pool.spare()
    // Its place goes to who waits longest.
    idle?.owner?.lostConnection(idle)
    if (!pool.isFull) return true
    if (this.#count().live + this.#openings === 0)
      this.#pause.standInLine(this.#ports.clock.monotonicMs(), pool.awaitPlace(this))
    return false
  }

  #openTarget(): OpenTarget {
    const { port, policy, smarthost, site, path } = this.target
    return { hosts: this.target.hosts.fresh(), port, policy, smarthost, site, path }
  }

  #opened(result: OpenResult): void {
    const { pool } = this.#ports
    this.#openings--
    pool.letGo()
    if (result.kind !== 'open') {
      // With connections at work this hop can wait for its next tick; the slot goes to another one.
      const { live } = this.#count()
      this.#pause.set(result.kind === 'busy' || live > 0)
      if (this.#pause.isOn) this.target.path.forget(this)
      this.target.path.release()
      pool.placeIsFree()
      if (result.kind === 'failed') this.#refused(result)
      else if (live === 0) this.#awaitHosts(result.keys)
      return
    }
    const { connection, isTakenOver } = result
    if (this.#ports.signal.aborted) {
      if (!isTakenOver) connection.session.destroy()
      this.target.path.release()
      return
    }
    this.#forgetFailures()
    if (isTakenOver && !this.#takeOver(connection)) this.target.path.release()
    if (!isTakenOver) {
      pool.add(connection)
      this.adopt(connection)
    }
    this.pump()
    if (isTakenOver) pool.placeIsFree()
  }

  /** Makes an idle connection of another next hop ours; false when it found work or its end meanwhile. */
  #takeOver(connection: Connection): boolean {
    if (connection.load > 0 || !connection.isOpen || !this.#ports.pool.remove(connection)) return false
    if (connection.owner instanceof NextHop) connection.owner.giveAway(connection)
    const formerPath = connection.path
    connection.path = this.target.path
    this.#ports.pool.add(connection)
    this.adopt(connection)
    formerPath.release()
    return true
  }

  /** No host took us. With other connections alive this only stops growth; of openings under way the last one decides. */
  #refused({ failures, untilMs }: Extract<OpenResult, { kind: 'failed' }>): void {
    if (this.#count().live + this.#openings > 0) return
    const isPermanent = mostTelling(failures)?.isPermanent === true
    if (isPermanent) {
      // One word of a host must not bounce a whole queue: the next batch asks again.
      const batch = this.queue.shift()
      if (batch !== undefined) this.#ports.failed(batch, failures)
      if (this.queue.size > 0) this.#grow()
      return
    }
    this.#failures = failures
    this.#endsDue = this.queue.size
    const nowMs = this.#ports.clock.monotonicMs()
    this.#failedUntilMs = Number.isFinite(untilMs) ? untilMs : nowMs + this.#ports.options.hostBackoffMs
    this.#planStep()
  }

  #forgetFailures(): void {
    this.#failures = null
    this.#endsDue = 0
  }

  #planStep(): void {
    this.#ports.steps.add(this)
  }

  /**
   * Ends a bounded number of batches with the failure that keeps this next hop closed, or has them placed again; with
   * neither to do, hands out and opens.
   */
  step(): void {
    if (this.#failures === null && this.target.hosts.areKnown) this.pump()
    else this.#endSome()
  }

  #endSome(): void {
    const failures = this.#failures
    const isKnown = this.target.hosts.areKnown
    // One that fails is in use, too: at each retry it would be made anew.
    this.lastUsedMs = this.#ports.clock.monotonicMs()
    for (let i = 0; i < failedPerStep; i++) {
      const batch = this.queue.shift()
      if (batch === undefined) break
      if (this.#endsDue > 0) this.#endsDue--
      if (failures === null || !isKnown) this.#ports.placeAgain(batch)
      else this.#ports.failed(batch, failures)
    }
    if (this.queue.size === 0) this.#endsDue = 0
    // What came meanwhile asks for itself, as soon as the back-off lets it.
    else if (isKnown && this.#endsDue === 0) this.pump()
    else this.#planStep()
  }
}
