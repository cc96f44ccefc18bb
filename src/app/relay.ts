// One relay thread's parts, put together: doors, submission, queue, delivery. Nothing decides anything here.
//
// How it goes:
//   1. build: store line, readers, signing keys, delivery engine, lease loop, doors (nothing is open yet);
//   2. bind the doors; begin: sessions start, and what is due is leased;
//   3. serve until drain: doors closed, sessions end, attempts end, what is left is given back;
//   4. close: the line to the store is closed last.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext, type SecureContext } from 'node:tls'
import { SecretBox, SigningKeys } from '../accounts/index.ts'
import { IdGenerator, systemClock } from '../base/index.ts'
import {
  type Config,
  formatSocketAddress,
  NetworkSet,
  serverTlsOptions,
  type TlsMaterial,
} from '../config/running/index.ts'
import { DeliveryEngine, type Planner, RouteTable } from '../delivery/index.ts'
import {
  AddressGuard,
  Authenticator,
  DoorCounts,
  HeldContents,
  Listener,
  LoginFailures,
  Places,
  SignatureMaker,
  SigningLine,
  SubmissionSession,
  Submitter,
} from '../intake/index.ts'
import {
  type RunningTicker,
  type SmtpSessionSummary,
  serveSmtpSession,
  startTicker,
} from '../protocol/smtp/index.ts'
import { LeaseLoop, Settler } from '../queue/index.ts'
import { Room } from '../queue/ready/index.ts'
import { openThreadStore, type ThreadStore } from '../store/index.ts'
import {
  type CollectedMetric,
  createLog,
  type Log,
  LogThrottle,
  Metrics,
  RuntimeWatch,
  standardOutput,
} from '../telemetry/index.ts'
import { deliveryOptionsOf, makePlanner, makeResolvers, privateGuardOf, routesOf } from './delivery-parts.ts'
import { DeliveryWatch } from './delivery-watch.ts'
import { DoorWatch } from './door-observer.ts'
import { doorOf, engineOptionsOf } from './door-options.ts'
import { operatorKeys } from './operator-keys.ts'
import type { BindFailure, RelayData, RelayReload } from './relay-data.ts'
import { makeReport, reportIdentity } from './reports.ts'
import { Resign } from './resign.ts'
import { addressLimitsOf, submissionOptionsOf } from './submission-options.ts'

const clock = systemClock
const leaseOptions = { pollMs: 500, recipientsMax: 1000 }
const backlog = 1024
/**
 * Contents that wait to be encoded, in all threads. Encoding takes up to five times as much for a moment: the pieces, the
 * whole, and up to three times as much encoded.
 */
const heldBytesMax = 32 * 1024 * 1024

/** What a relay thread tells outside. */
export interface RelayPorts {
  /** Must end the thread. */
  onFatal(error: unknown): void
  /** The wall clock jumped; resolves when stored times fit it again. */
  onClockJump(): Promise<void>
}

/** A relay thread. */
export class Relay {
  readonly #data: RelayData
  readonly #store: ThreadStore
  readonly #log: Log
  readonly #metrics: Metrics = new Metrics()
  readonly #runtime: RuntimeWatch
  readonly #ticker: RunningTicker = startTicker({})
  readonly #keys: SigningKeys
  readonly #signing: SigningLine | null
  readonly #settler: Settler
  readonly #planner: Planner
  readonly #engine: DeliveryEngine
  readonly #leases: LeaseLoop
  readonly #submitter: Submitter
  readonly #sessions: Places
  readonly #counts: DoorCounts
  readonly #guard: AddressGuard
  readonly #watch: DoorWatch
  readonly #authenticator: Authenticator
  #listeners: Listener[] = []
  #config: Config
  #secureContext: SecureContext
  #isDraining = false
  readonly #output = standardOutput()

  private constructor(data: RelayData, { onFatal, onClockJump }: RelayPorts) {
    const { config, index, threads, lab } = data
    this.#data = data
    this.#config = config
    this.#log = createLog({
      level: config.log.level,
      output: this.#output,
      fields: { thread: `relay-${index}` },
    })
    this.#runtime = new RuntimeWatch(this.#metrics, false, turn => this.#log.event('loop.late', { ...turn }))
    this.#secureContext = makeContext(data.tls, data.ticketKeys)
    this.#store = openThreadStore({
      dataDir: config.dataDir,
      port: data.storePort,
      thread: index,
      nowMs: () => clock.nowMs(),
      segmentBytesMax: config.limits.segmentSizeBytes,
    })
    const ids = new IdGenerator(() => clock.nowMs(), randomBytes)
    const box = new SecretBox(Buffer.from(data.secretKey), randomBytes)
    this.#keys = new SigningKeys(this.#store.accounts, box)
    const operator = operatorKeys(config, data.operatorKeyPem)
    // More relay threads share the cores between them: each then signs for itself (decisions 0012 and 0024).
    this.#signing = threads === 1 ? new SigningLine(onFatal) : null
    const signatures = new SignatureMaker(this.#keys, operator, clock, this.#signing?.sign ?? null)
    this.#settler = new Settler(this.#store.queue, onFatal)
    const delivery = deliveryOptionsOf(config, threads, lab, data.tls)
    this.#planner = makePlanner({
      config,
      dnsServers: data.dnsServers,
      lab,
      clock,
      random: Math.random,
      log: this.#log,
    })
    const throttle = new LogThrottle()
    const onFault = (error: unknown): void => {
      const leftOut = throttle.pass('attempt.fault', clock.monotonicMs())
      if (leftOut === null) return
      this.#log.event('attempt.fault', leftOut === 0 ? { err: error } : { err: error, leftOut })
    }
    this.#engine = new DeliveryEngine(
      {
        clock,
        random: Math.random,
        ticker: this.#ticker,
        planner: this.#planner,
        routes: new RouteTable(routesOf(config)),
        room: new Room({
          recipientsMax: delivery.readyRecipientsMax,
          contentBytesMax: delivery.readyContentBytesMax,
          changedBytesMax: delivery.readyContentBytesMax,
        }),
        sink: new DeliveryWatch(this.#settler, this.#log, this.#metrics),
        content: this.#store.queue,
        marks: this.#store.marks,
        memory: this.#store.hosts,
        resigner: new Resign(signatures, this.#log, clock),
        reportIdentity: reportIdentity(config.hostname, ids),
        makeReport: draft => makeReport(draft, operator, this.#config.retry.expireMs, onFault),
        areReportsCrowded: () => this.#settler.isCrowded,
        onFault,
        ownGreetingId: data.greetingId,
        onConnection: result => this.#metrics.connections.inc(result),
      },
      delivery,
    )
    this.#leases = new LeaseLoop(
      this.#store.queue,
      this.#engine,
      clock,
      { ...leaseOptions, onClockJump },
      onFatal,
    )
    this.#submitter = new Submitter(
      {
        store: this.#store.queue,
        spool: this.#store.spool,
        accounts: this.#store.accounts,
        signatures,
        ready: this.#engine,
        held: new HeldContents(data.doors.held, heldBytesMax),
        ids,
        clock,
      },
      submissionOptionsOf(config),
    )
    this.#counts = new DoorCounts(data.doors.counts)
    this.#sessions = new Places(this.#counts)
    const failures = new LoginFailures(data.doors.failures)
    this.#guard = new AddressGuard(addressLimitsOf(config), this.#counts, failures, clock)
    this.#watch = new DoorWatch(this.#log, this.#metrics, clock, event => this.#settler.event(event))
    this.#authenticator = new Authenticator(this.#store.accounts, this.#guard, ms => sleep(ms))
  }

  /** Builds everything; nothing is open yet. */
  static build(data: RelayData, ports: RelayPorts): Relay {
    return new Relay(data, ports)
  }

  /** Binds the doors; who connects waits. The answer is the one that could not be had. */
  async bind(): Promise<BindFailure | null> {
    this.#listeners = this.#config.listeners.map((_, index) => this.#makeListener(index))
    for (const [index, listener] of this.#listeners.entries()) {
      try {
        await listener.bind()
      } catch (error) {
        const { code = String(error) } = error as NodeJS.ErrnoException
        return { address: this.#config.listeners[index]!.address, code }
      }
    }
    return null
  }

  /** Sessions start, and what is due is leased. */
  begin(): void {
    for (const listener of this.#listeners) listener.begin()
    this.#leases.start()
  }

  #makeListener(index: number): Listener {
    const { address, kind } = this.#config.listeners[index]!
    const { submitter, watch, guard, authenticator, store, ticker } = this.#parts()
    const sessionsOpened = this.#metrics.sessions.child(kind)
    let settings = this.#settingsOf(index)
    let madeFor = this.#config
    const current = () => {
      // After a reload the next connection gets the new settings; running sessions keep theirs.
      if (madeFor !== this.#config) {
        settings = this.#settingsOf(index)
        madeFor = this.#config
      }
      return settings
    }
    return new Listener(
      {
        guard,
        startSession: (socket, visit, reads) => {
          sessionsOpened.inc()
          this.#metrics.sessionsOpen.add(1)
          const { door, direct, proxied, isProxy } = current()
          const options = isProxy(socket.remoteAddress ?? '') ? proxied : direct
          const session = new SubmissionSession(
            { accounts: store.accounts, authenticator, submitter, observer: watch, visit },
            door,
          )
          const observer = {
            onClose: (summary: SmtpSessionSummary) => {
              this.#metrics.sessionsOpen.add(-1)
              visit.ended()
              watch.ended(summary)
            },
            onFault: (fault: unknown, during: string) => watch.faulted(fault, during),
          }
          const shared = reads === undefined ? {} : { reads }
          return serveSmtpSession({ socket, ...shared, handler: session, options, ticker, observer })
        },
        acceptFailed: code => watch.acceptFailed(formatSocketAddress(address), code),
        refusedConnection: (refusal, clientAddress) => watch.turnedAway(refusal, clientAddress),
      },
      {
        host: address.host,
        port: address.port,
        isExempt: client => current().door.isInNetworks(client),
        isProxy: client => current().isProxy(client),
        sessionsMax: this.#config.limits.sessions,
        strangerMsMax: () => this.#config.limits.strangerMs,
        backlog,
      },
      this.#sessions,
    )
  }

  #parts() {
    return {
      submitter: this.#submitter,
      watch: this.#watch,
      guard: this.#guard,
      authenticator: this.#authenticator,
      store: this.#store,
      ticker: this.#ticker,
    }
  }

  #settingsOf(index: number) {
    const listener = this.#config.listeners[index]!
    const door = doorOf(listener)
    const proxies = new NetworkSet(listener.proxyProtocol)
    const { greetingId } = this.#data
    const secureContext = () => this.#secureContext
    const optionsFor = (isProxied: boolean) =>
      engineOptionsOf(this.#config, listener, door, { greetingId, secureContext, isProxied })
    return {
      door,
      direct: optionsFor(false),
      proxied: optionsFor(true),
      isProxy: (address: string) => !proxies.isEmpty && proxies.has(address),
    }
  }

  /** What a command changed is in force in this thread when this returns. */
  accountsChanged(): void {
    this.#store.accounts.forget()
    this.#keys.forget()
  }

  /** Gives back what is ready and not in flight, and leases nothing until {@link wake}. @returns how many recipients. */
  async recall(): Promise<number> {
    await this.#leases.stop()
    const giveBacks = await this.#engine.recall()
    this.#settler.giveBack(giveBacks)
    await this.#settler.flush()
    return giveBacks.length
  }

  /** Something may be due, and hosts that failed may be tried again: an operator asked for it. */
  wake(): void {
    this.#engine.forgetFailures()
    if (!this.#isDraining) this.#leases.start()
  }

  /**
   * New certificate, listener settings, rules of submission and delivery, routes, DNS servers. What needs a restart:
   * reload.ts.
   */
  reload({ config, dnsServers, tls, ticketKeys }: RelayReload): void {
    const { threads, lab } = this.#data
    // All is made before any of it is in force: what cannot be made changes nothing.
    const secureContext = makeContext(tls, ticketKeys)
    const guard = privateGuardOf(config, lab)
    const delivery = deliveryOptionsOf(config, threads, lab, tls)
    const routes = new RouteTable(routesOf(config))
    const resolvers = makeResolvers({ config, dnsServers, lab, log: this.#log })
    this.#secureContext = secureContext
    this.#config = config
    this.#submitter.options = submissionOptionsOf(config)
    this.#guard.limits = addressLimitsOf(config)
    this.#planner.setGuard(guard)
    this.#planner.setResolvers(resolvers)
    this.#engine.setOptions(delivery)
    this.#engine.setRoutes(routes)
  }

  metrics(): CollectedMetric[] {
    this.#runtime.sample()
    const gauges = this.#engine.gauges()
    this.#metrics.readyRecipients.set(gauges.recipientsInHand)
    this.#metrics.readyBytes.set(gauges.contentBytes)
    this.#metrics.connectionsOpen.set(gauges.connections)
    return this.#metrics.collect()
  }

  /**
   * Doors closed; sessions and attempts in flight get `deadlineMs`, both at once: a slow client must not use up the time
   * of the attempts. What waits goes back to the queue first, and what sessions still commit stays there: the engine keeps
   * no room any more, and gives back what had room before.
   */
  async drain(deadlineMs: number): Promise<void> {
    const deadline = AbortSignal.timeout(deadlineMs)
    this.#isDraining = true
    for (const listener of this.#listeners) listener.close()
    const leasesStopped = this.#leases.stop()
    await Promise.all([
      this.#engine.drain(deadline),
      this.#endSessions(deadline),
      // It may wait for the clock to be dealt with, which a full disk holds up; what it leases late is given back too.
      Promise.race([leasesStopped, aborted(deadline)]),
    ])
    // On disk before the main thread hears of the end; what a session that was cut still commits is left to close().
    await this.#settler.flush()
  }

  async #endSessions(deadline: AbortSignal): Promise<void> {
    for (const session of this.#sessions) session.drain()
    while (this.#sessions.size > 0 && !deadline.aborted) await sleep(20)
    for (const session of this.#sessions) session.destroy()
  }

  async close(): Promise<void> {
    this.#ticker[Symbol.dispose]()
    this.#runtime[Symbol.dispose]()
    await this.#signing?.[Symbol.asyncDispose]()
    await this.#settler.close()
    await this.#store[Symbol.asyncDispose]()
    // The main thread ends this one at once when it hears of the end.
    await this.#output.flushed()
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** One context for the thread; the shared ticket keys make a TLS session resumable in every thread. */
function makeContext(tls: TlsMaterial, ticketKeys: Uint8Array): SecureContext {
  return createSecureContext({ ...serverTlsOptions(tls), ticketKeys: Buffer.from(ticketKeys) })
}
