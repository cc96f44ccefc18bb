// For tests: a control server over a real store in this process, on a data folder of its own.
//
// The relay threads are stood in for by one that has leased recipients and can give them back.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AccountService, loadSecretKey, SecretBox } from '../../accounts/index.ts'
import { type Clock, formatMessageId, IdGenerator } from '../../base/index.ts'
import {
  type EventType,
  type Outcome,
  type OutcomeKind,
  packAccepted,
  packOutcome,
  packOutcomeFacts,
} from '../../events/index.ts'
import type { NewMessage, Settlement, StartState } from '../../queue/index.ts'
import { openThreadStore, type StoreHost, startStoreInProcess, type ThreadStore } from '../../store/index.ts'
import { type ControlServer, type ControlServerOptions, startControlServer } from './index.ts'
import type { ControlPorts, LabCommand } from './ports.ts'

export const startMs = 1_800_000_000_000

/** A message to put into the store. */
export interface TestMessage {
  readonly accountKey?: number
  readonly to: readonly string[]
  readonly startState?: StartState
}

/** A stored message. */
export interface StoredMessage {
  readonly id: Buffer
  readonly text: string
  readonly key: number
  readonly accountKey: number
  readonly to: readonly string[]
}

/** The store, its accounts and a control server. */
export class ControlTestBed implements AsyncDisposable {
  readonly dataDir: string
  readonly store: ThreadStore
  readonly service: AccountService
  readonly clock: Clock & { wallMs: number }
  /** What the relay threads were told, in order. */
  readonly told: string[] = []
  readonly lab: Record<string, LabCommand> = {}
  /** Leased by the stand-in relay thread and not in flight: recall gives them back. */
  readonly ready: { readonly message: StoredMessage; readonly number: number }[] = []
  /** What was logged: each line's event and fields. */
  readonly logged: Record<string, unknown>[] = []
  isShutDown = false
  readonly #host: StoreHost
  readonly #ids: IdGenerator
  #server: ControlServer | null = null

  private constructor(dataDir: string) {
    this.dataDir = dataDir
    this.clock = { wallMs: startMs, nowMs: () => this.clock.wallMs, monotonicMs: () => this.clock.wallMs }
    const nowMs = (): number => this.clock.wallMs
    this.#ids = new IdGenerator(nowMs, randomBytes)
    this.#host = startStoreInProcess({ dataDir, node: 1, nowMs: startMs })
    this.store = openThreadStore({ dataDir, port: this.#host.connect(), thread: 0, nowMs })
    const key = loadSecretKey(dataDir, randomBytes)
    if (!key.ok) throw new Error(key.problem.what)
    this.service = new AccountService({
      reader: this.store.accounts,
      store: this.store.accountStore,
      box: new SecretBox(key.key, randomBytes),
      ids: this.#ids,
      randomBytes,
      nowMs,
      hostname: 'mx.example.test',
    })
  }

  /** Starts everything; the server too unless `options.isServing` is false. */
  static async open(options: { isServing?: boolean } = {}): Promise<ControlTestBed> {
    const bed = new ControlTestBed(mkdtempSync(join(tmpdir(), 'postrider-control-')))
    if (options.isServing !== false) await bed.serve()
    return bed
  }

  get serverPath(): string {
    return this.#server?.path ?? ''
  }

  async serve(change: Partial<ControlServerOptions> = {}): Promise<void> {
    const started = await startControlServer(
      {
        dataDir: this.dataDir,
        shortFolders: { runtimeDir: undefined, systemDir: '', temporaryDir: tmpdir() },
        ...change,
      },
      this.ports(),
    )
    if (!started.ok) throw new Error(started.error.message)
    this.#server = started.server
  }

  async stopServing(): Promise<void> {
    await this.#server?.close()
    this.#server = null
  }

  ports(): ControlPorts {
    const { store, service, clock, told } = this
    return {
      accounts: store.accounts,
      accountService: service,
      queue: store.control,
      events: store.events,
      threads: {
        accountsChanged: async () => {
          told.push('accountsChanged')
        },
        recall: async () => await this.#recall(),
        wake: () => {
          told.push('wake')
        },
      },
      clock,
      log: { event: (event, fields) => void this.logged.push({ event, ...fields }) },
      facts: {
        hostname: 'mx.example.test',
        dataDir: this.dataDir,
        version: '0.0.1',
        processId: 4711,
        startedAtMs: startMs,
        listeners: [{ kind: 'submission', host: '127.0.0.1', port: 2587 }],
        http: null,
        isLabOn: true,
      },
      lab: this.lab,
      shutdown: () => {
        this.isShutDown = true
      },
    }
  }

  /** Puts a message in. */
  async accept({ accountKey = 1, to, startState = 'scheduled' }: TestMessage): Promise<StoredMessage> {
    const id = this.#ids.next()
    const result = await this.store.queue.accept(
      newMessage(id, accountKey, to, startState, this.clock.wallMs),
    )
    if (result.kind === 'failed') throw new Error(result.why)
    return { id, text: formatMessageId(id), key: result.key, accountKey, to }
  }

  /** Ends an attempt for one recipient. */
  async settle(
    message: StoredMessage,
    number: number,
    kind: OutcomeKind,
    attempts: number = 1,
  ): Promise<void> {
    const settlement = newSettlement(message, number, kind, attempts, this.clock.wallMs)
    await this.store.queue.settle({ settlements: [settlement], giveBacks: [], messages: [], events: [] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopServing()
    await this.store[Symbol.asyncDispose]()
    await this.#host.close()
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  async #recall(): Promise<number> {
    this.told.push('recall')
    const giveBacks = this.ready.splice(0).map(({ message, number }) => ({
      messageKey: message.key,
      recipientNumber: number,
      nextAttemptAtMs: this.clock.wallMs,
      reason: 'next-attempt' as const,
    }))
    await this.store.queue.settle({ settlements: [], giveBacks, messages: [], events: [] })
    return giveBacks.length
  }
}

/** An outcome of a reply. */
export function testOutcome(kind: OutcomeKind, atMs: number): Outcome {
  const code = kind === 'delivered' ? 250 : kind === 'deferred' ? 451 : 550
  return {
    kind,
    code,
    enhancedCode: kind === 'delivered' ? '2.0.0' : kind === 'deferred' ? '4.2.0' : '5.1.1',
    text: kind === 'bounced' ? 'no such user\x1b[31m' : 'as told',
    remoteHost: 'mx1.receiver.test',
    remoteAddress: '127.77.0.1:2526',
    stage: kind === 'delivered' ? 'data' : 'rcpt',
    tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
    category: kind === 'bounced' ? 'unknown-recipient' : 'other',
    scope: 'recipient',
    source: 'reply',
    atMs,
    isUncertain: false,
  }
}

function newMessage(
  id: Buffer,
  accountKey: number,
  to: readonly string[],
  startState: StartState,
  nowMs: number,
): NewMessage {
  const content = Buffer.from('Subject: hello\r\n\r\nbody\r\n')
  const reversePath = 'sender@example.test'
  return {
    id,
    accountKey,
    streamKey: 1,
    reversePath,
    sentReversePath: reversePath,
    isEightBit: false,
    isSmtpUtf8: false,
    ret: '',
    envelopeId: '',
    acceptedAtMs: nowMs,
    expiresAtMs: nowMs + 432_000_000,
    priority: 5,
    sendsDsn: false,
    prefix: Buffer.alloc(0),
    sizeBytes: content.length,
    content: { kind: 'inline', parts: [content], sizeBytes: content.length },
    recipients: to.map((forwardPath, number) => ({
      number,
      forwardPath,
      domain: forwardPath.split('@')[1] ?? '',
      notify: 8,
      originalRecipient: '',
    })),
    startState,
    firstAttemptAtMs: nowMs + 60_000,
    acceptedFacts: packAccepted({
      reversePath,
      forwardPaths: [...to],
      sizeBytes: content.length,
      clientAddress: '127.0.0.9',
      helloName: 'app.example.test',
      door: 'smtp',
      username: 'apikey',
      headerMessageId: '<1@example.test>',
      signedBy: ['example.test=pr-abc-rsa'],
      tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384',
    }),
  }
}

function newSettlement(
  message: StoredMessage,
  recipientNumber: number,
  kind: OutcomeKind,
  attempts: number,
  atMs: number,
): Settlement {
  const outcome = testOutcome(kind, atMs)
  const nextAttemptAtMs = kind === 'deferred' ? atMs + 300_000 : 0
  return {
    messageKey: message.key,
    messageId: message.id,
    recipientNumber,
    recipientCount: message.to.length,
    accountKey: message.accountKey,
    streamKey: 1,
    attempts,
    eventType: kind satisfies EventType,
    facts: packOutcomeFacts({
      forwardPath: message.to[recipientNumber] ?? '',
      attempt: attempts,
      outcome,
      nextAttemptAtMs,
      conversation: ['> RCPT TO:<x>', `< ${outcome.code} ${outcome.text}`],
    }),
    atMs,
    nextAttemptAtMs,
    lastOutcome: kind === 'deferred' ? packOutcome(outcome) : Buffer.alloc(0),
    isDelayNotified: false,
  }
}
