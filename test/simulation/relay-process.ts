// A relay process in the simulation: the real store (SQLite, in this thread), and for each relay thread the real lease
// loop, delivery engine, ready queues and settler, around a next hop that is simulated.
//
// It can be stopped in order, killed, and started again on the same data folder. What goes to and from the store is told
// to the ledger. Invariant: after `kill` nothing of it runs any more.

import { ClockWatch, formatMessageId, type IdGenerator } from '../../src/base/index.ts'
import { DeliveryEngine } from '../../src/delivery/engine.ts'
import { type DeliveryOptions, RouteTable, reportMessage } from '../../src/delivery/index.ts'
import {
  type LeasedMessage,
  LeaseLoop,
  leasedFrom,
  type NewMessage,
  type QueueAction,
  type QueueFilter,
  type QueueStore,
  type SettleBatch,
  Settler,
} from '../../src/queue/index.ts'
import { Room } from '../../src/queue/ready/index.ts'
import {
  openThreadStore,
  type StoreHost,
  startStoreInProcess,
  type ThreadStore,
} from '../../src/store/index.ts'
import type { Random } from '../support/random.ts'
import type { Ledger } from './ledger.ts'
import { idField, openPeerSession, type SimulatedSession } from './peer-session.ts'
import { MortalTimers, type VirtualTime } from './virtual-time.ts'
import type { World } from './world.ts'

export interface ProcessParts {
  readonly dataDir: string
  readonly time: VirtualTime
  readonly random: Random
  readonly ledger: Ledger
  readonly world: World
  readonly ids: IdGenerator
  readonly options: DeliveryOptions
  readonly threads: number
  readonly leasePollMs: number
  readonly sabotage?: Sabotage
}

/** Breaks a rule, where the rules themselves are tried. */
export interface Sabotage {
  /** The store as the process has it. */
  readonly queue?: (queue: QueueStore) => QueueStore
  /** A message as the ready queue gets it. */
  readonly ready?: (message: LeasedMessage) => LeasedMessage
}

/** How long the disk is full, told from outside. */
export interface Disk {
  isFull: boolean
}

class DiskFull extends Error {
  readonly isPassing = true
}

/** One relay thread. */
class RelayThread {
  readonly number: number
  readonly line: ThreadStore
  /** The store's queue with the ledger beside it. */
  readonly queue: QueueStore
  readonly room: Room
  readonly engine: DeliveryEngine
  readonly settler: Settler
  readonly leases: LeaseLoop
  readonly sessions: Set<SimulatedSession> = new Set()
  readonly #members = new Set<{ tick(nowMs: number): void }>()
  /** Requests without an answer. */
  pending = 0

  constructor(
    number: number,
    host: StoreHost,
    parts: ProcessParts,
    timers: MortalTimers,
    disk: Disk,
    onFatal: (error: unknown) => void,
    onClockJump: () => Promise<void>,
  ) {
    const { dataDir, time, random, ledger, world, ids, options } = parts
    this.number = number
    this.line = openThreadStore({ dataDir, port: host.connect(), thread: number, nowMs: () => time.nowMs() })
    const queue = this.#watched(parts, disk)
    this.queue = queue
    this.settler = new Settler(queue, onFatal, timers)
    this.room = new Room({
      recipientsMax: options.readyRecipientsMax,
      contentBytesMax: options.readyContentBytesMax,
      changedBytesMax: options.readyContentBytesMax,
    })
    // What is thrown inside an attempt ends as an outcome; a broken rule must not.
    const told = (tell: () => void): void => {
      try {
        tell()
      } catch (error) {
        onFatal(error)
      }
    }
    const watch = {
      began: (names: readonly string[]) => told(() => ledger.began(number, names)),
      ended: (names: readonly string[]) => told(() => ledger.ended(names)),
      took: (name: string) => told(() => ledger.took(name)),
      refused: (name: string) => told(() => ledger.refused(name)),
    }
    this.engine = new DeliveryEngine(
      {
        clock: time,
        random: () => random.next(),
        ticker: this.#members,
        planner: world,
        routes: new RouteTable([]),
        room: this.room,
        sink: this.settler,
        content: queue,
        marks: this.line.marks,
        memory: this.line.hosts,
        resigner: { resign: async () => Buffer.alloc(0) },
        reportIdentity: {
          host: 'relay.test',
          from: 'mailer-daemon@relay.test',
          nextId: () => {
            const bytes = ids.next()
            return { bytes, text: formatMessageId(bytes) }
          },
        },
        makeReport: async draft =>
          reportMessage(draft, {
            prefix: Buffer.from(`${idField}${draft.id.toString('hex')}\r\n`),
            signedBy: [],
            expireMs: 86_400_000,
          }),
        onFault: onFatal,
        openSession: async ({ address, signal }) => {
          const result = await openPeerSession(world.siteAt(address), timers, watch)
          if (!result.ok) return result
          const session = result.session as SimulatedSession
          if (signal?.aborted) session.destroy()
          this.sessions.add(session)
          return result
        },
      },
      options,
    )
    this.leases = new LeaseLoop(
      queue,
      this.engine,
      time,
      { pollMs: parts.leasePollMs, recipientsMax: 1000, onClockJump },
      onFatal,
      timers,
    )
    const tick = (): void => {
      timers.after(1000, () => {
        for (const session of this.sessions) if (session.end !== null) this.sessions.delete(session)
        for (const member of [...this.#members]) member.tick(time.monotonicMs())
        void onClockJump()
        tick()
      })
    }
    tick()
  }

  get isBusy(): boolean {
    const { recipientsInHand, connections, batchesInFlight } = this.engine.gauges()
    return recipientsInHand + connections + batchesInFlight + this.pending > 0
  }

  /** The store's line with the ledger beside it, and a disk that may be full. */
  #watched({ ledger, sabotage }: ProcessParts, disk: Disk): QueueStore {
    const { events } = this.line
    const queue = sabotage?.queue?.(this.line.queue) ?? this.line.queue
    const readEvents = (): void => ledger.read(events)
    const counted = async <T>(work: () => Promise<T>): Promise<T> => {
      this.pending++
      try {
        return await work()
      } finally {
        this.pending--
      }
    }
    return {
      accept: message =>
        counted(async () => {
          if (disk.isFull) return { kind: 'failed', why: 'the disk is full' } as const
          ledger.expects(message)
          const result = await queue.accept(message)
          readEvents()
          if (result.kind === 'stored') ledger.acknowledged(message)
          ledger.acceptedBy(this.number, message)
          return result
        }),
      settle: (batch: SettleBatch) =>
        counted(async () => {
          if (disk.isFull) throw new DiskFull('the disk is full')
          for (const message of batch.messages) ledger.expects(message)
          await queue.settle(batch)
          readEvents()
          ledger.gaveBack(this.number, batch.giveBacks, key => this.#ids.get(key) ?? '')
        }),
      lease: request =>
        counted(async () => {
          if (disk.isFull) throw new DiskFull('the disk is full')
          const messages = await queue.lease(request)
          if (messages.length === 0) return messages
          readEvents()
          for (const { key, id } of messages) this.noteKey(key, id)
          ledger.leased(this.number, messages)
          return sabotage?.ready === undefined ? messages : messages.map(sabotage.ready)
        }),
      readPrefix: key => queue.readPrefix(key),
      readContent: (key, content) => counted(() => queue.readContent(key, content)),
      openContent: (key, content) => queue.openContent(key, content),
    }
  }

  /** Message ids by store key, for give-backs. */
  readonly #ids = new Map<number, string>()

  noteKey(key: number, id: Buffer): void {
    this.#ids.set(key, id.toString('hex'))
    if (this.#ids.size > 20_000) this.#ids.delete(this.#ids.keys().next().value!)
  }
}

export class RelayProcess {
  readonly #parts: ProcessParts
  readonly #host: StoreHost
  readonly #timers: MortalTimers
  readonly threads: readonly RelayThread[]
  readonly disk: Disk = { isFull: false }
  readonly #watch: ClockWatch
  #moving: Promise<void> = Promise.resolve()
  #isDead = false
  fatal: unknown = null

  private constructor(parts: ProcessParts, host: StoreHost) {
    this.#parts = parts
    this.#host = host
    this.#timers = new MortalTimers(parts.time)
    this.#watch = new ClockWatch(parts.time)
    const onFatal = (error: unknown): void => {
      if (!this.#isDead) this.fatal ??= error
    }
    this.threads = Array.from(
      { length: parts.threads },
      (_, number) =>
        new RelayThread(number, host, parts, this.#timers, this.disk, onFatal, () => this.#lookAtClock()),
    )
  }

  /** Opens the store, reads what the log has that the ledger has not seen, and begins to lease. */
  static start(parts: ProcessParts): RelayProcess {
    const host = startStoreInProcess({ dataDir: parts.dataDir, node: 1, nowMs: parts.time.nowMs() })
    const started = new RelayProcess(parts, host)
    const { ledger } = parts
    started.readEvents()
    ledger.recovered()
    ledger.startedBehind(host.clockBehindMs)
    for (const thread of started.threads) thread.leases.start()
    return started
  }

  /** The ledger sees all that has been committed. */
  readEvents(): void {
    this.#parts.ledger.read(this.threads[0]!.line.events)
  }

  /** What the main thread's clock guard does: the queue is moved along before anybody leases by the new time. */
  #lookAtClock(): Promise<void> {
    const jump = this.#watch.look()
    if (jump !== null)
      this.#moving = this.#moving.then(async () => {
        await this.threads[0]!.line.control.clockJumped(jump)
        this.#parts.ledger.clockJumped(jump)
      })
    return this.#moving
  }

  get isBusy(): boolean {
    return this.threads.some(thread => thread.isBusy)
  }

  get pending(): number {
    return this.threads.reduce((sum, { pending }) => sum + pending, 0)
  }

  /** Hands a message in at one thread's door, as a submission does. */
  async submit(number: number, make: (hasRoom: boolean) => NewMessage): Promise<boolean> {
    const thread = this.threads[number % this.threads.length]!
    const draft = make(false)
    const { accountKey, recipients, sizeBytes } = draft
    const hasRoom = thread.engine.reserve(accountKey, recipients.length, sizeBytes)
    const message = hasRoom ? make(true) : draft
    const result = await thread.queue.accept(message)
    if (message.startState === 'leased') thread.engine.letGo(accountKey, recipients.length, sizeBytes)
    if (result.kind === 'failed') return false
    thread.noteKey(result.key, message.id)
    if (message.startState !== 'leased' || message.content.kind !== 'inline') return true
    const leased = leasedFrom(message, result.key)
    thread.engine.enqueue(this.#parts.sabotage?.ready?.(leased) ?? leased, message.content.parts)
    return true
  }

  /** What the control plane does for an operator. */
  async act(filter: QueueFilter, action: QueueAction): Promise<void> {
    for (const { leases, engine, settler } of this.threads) {
      await leases.stop()
      settler.giveBack(await engine.recall())
      await settler.flush()
    }
    const { control } = this.threads[0]!.line
    for (let cursor: string | null = ''; cursor !== null; ) {
      const step: { readonly cursor: string | null } = await control.act(
        filter,
        action,
        this.#parts.time.nowMs(),
        500,
        cursor,
      )
      cursor = step.cursor
    }
    this.readEvents()
    for (const { leases, engine } of this.threads) {
      engine.forgetFailures()
      leases.start()
    }
  }

  /** A clean end: attempts in flight have `deadlineMs`, the rest is given back. */
  async stop(deadlineMs: number): Promise<void> {
    const deadline = new AbortController()
    this.#timers.after(deadlineMs, () => deadline.abort())
    for (const { leases } of this.threads) await leases.stop()
    await Promise.all(
      this.threads.map(async ({ engine, settler }) => {
        await engine.drain(deadline.signal)
        await settler.flush()
      }),
    )
    await this.#close()
  }

  /** kill -9: nothing is given back, nothing that runs comes to its end here. */
  async kill(): Promise<void> {
    this.#isDead = true
    this.#timers.kill()
    for (const { sessions } of this.threads) for (const session of sessions) session.abandon()
    // The host first: what has been asked and not served is lost.
    await this.#host.close()
    for (const { line } of this.threads) await Promise.resolve(line[Symbol.asyncDispose]()).catch(() => {})
  }

  async #close(): Promise<void> {
    this.#isDead = true
    this.#timers.kill()
    for (const { line } of this.threads) await line[Symbol.asyncDispose]()
    await this.#host.close()
  }
}
