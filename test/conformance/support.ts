// What the store suites share: how an implementation is opened, and messages, settlements and accounts to feed it.

import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IdGenerator } from '../../src/base/index.ts'
import {
  type EventType,
  type Outcome,
  type OutcomeKind,
  packAccepted,
  packOutcome,
  packOutcomeFacts,
} from '../../src/events/index.ts'
import type { NewMessage, NewRecipient, SettleBatch, Settlement } from '../../src/queue/index.ts'
import { openThreadStore, type StoreHost, type ThreadStore } from '../../src/store/index.ts'

/** The clock of the suites. */
export const startMs = 1_700_000_000_000

/** Starts a store on a data folder; each implementation brings its own. */
export type StartStore = (options: {
  readonly dataDir: string
  readonly node: number
  readonly nowMs: number
}) => Promise<StoreHost>

/** A store with one line to it, on a folder of its own, that can be stopped and started again. */
export class TestStore implements AsyncDisposable {
  dataDir: string
  readonly #start: StartStore
  readonly #abandoned: string[] = []
  #host: StoreHost | null = null
  #line: ThreadStore | null = null

  private constructor(start: StartStore) {
    this.dataDir = mkdtempSync(join(tmpdir(), 'postrider-store-'))
    this.#start = start
  }

  static async open(start: StartStore): Promise<TestStore> {
    const store = new TestStore(start)
    await store.start(startMs)
    return store
  }

  get line(): ThreadStore {
    if (this.#line === null) throw new Error('the store is stopped')
    return this.#line
  }

  /** A further line, as a second relay thread has. The caller disposes it. */
  another(thread: number, nowMs: () => number = () => startMs): ThreadStore {
    return openThreadStore({
      dataDir: this.dataDir,
      port: this.#host!.connect(),
      thread,
      nowMs,
    })
  }

  async start(nowMs: number): Promise<void> {
    this.#host = await this.#start({ dataDir: this.dataDir, node: 1, nowMs })
    this.#line = openThreadStore({
      dataDir: this.dataDir,
      port: this.#host.connect(),
      thread: 0,
      nowMs: () => nowMs,
    })
  }

  async stop(): Promise<void> {
    await this.#line?.[Symbol.asyncDispose]()
    await this.#host?.close()
    this.#line = null
    this.#host = null
  }

  async restart(nowMs: number): Promise<void> {
    await this.stop()
    await this.start(nowMs)
  }

  /**
   * Goes on from what a killed process would leave behind: the files as they are at this moment. What has been asked and
   * not answered may be there or not.
   */
  async crash(nowMs: number): Promise<void> {
    const left = mkdtempSync(join(tmpdir(), 'postrider-store-'))
    cpSync(this.dataDir, left, { recursive: true })
    await this.stop()
    this.#abandoned.push(this.dataDir)
    this.dataDir = left
    await this.start(nowMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    for (const folder of [...this.#abandoned, this.dataDir]) rmSync(folder, { recursive: true, force: true })
  }
}

const ids = new IdGenerator(() => startMs, randomBytes)

export function recipient(number: number, domain: string = 'example.net'): NewRecipient {
  return {
    number,
    forwardPath: `user${number}@${domain}`,
    domain,
    notify: 8,
    originalRecipient: `rfc822;user${number}@${domain}`,
  }
}

/** An ordinary message; give what matters to the case. */
export function newMessage(change: Partial<NewMessage> = {}): NewMessage {
  const content = change.content ?? {
    kind: 'inline',
    parts: [Buffer.from('Subject: hello\r\n\r\n'), Buffer.from('body\r\n')],
    sizeBytes: 24,
  }
  const prefix = Buffer.from('Received: by example\r\n')
  return {
    id: ids.next(),
    accountKey: 1,
    streamKey: 1,
    reversePath: 'sender@example.com',
    sentReversePath: 'sender+verp@example.com',
    isEightBit: true,
    isSmtpUtf8: false,
    isPlain: true,
    isUnsigned: false,
    ret: 'HDRS',
    envelopeId: 'env-1',
    acceptedAtMs: startMs,
    expiresAtMs: startMs + 432_000_000,
    priority: 5,
    sendsDsn: true,
    prefix,
    sizeBytes: prefix.length + content.sizeBytes,
    content,
    recipients: [recipient(0)],
    startState: 'leased',
    firstAttemptAtMs: startMs,
    acceptedFacts: packAccepted({
      reversePath: 'sender@example.com',
      forwardPaths: ['user0@example.net'],
      sizeBytes: content.sizeBytes,
      clientAddress: '127.0.0.1:4711',
      helloName: 'app',
      door: 'smtp',
      username: 'apikey',
      headerMessageId: '<1@example.com>',
      signedBy: [],
      tls: '',
    }),
    ...change,
  }
}

export function outcome(kind: OutcomeKind, atMs: number = startMs): Outcome {
  return {
    kind,
    code: kind === 'delivered' ? 250 : kind === 'deferred' ? 451 : 550,
    enhancedCode: '',
    text: `${kind} it is`,
    remoteHost: 'mx.example.net',
    remoteAddress: '127.0.0.2:25',
    stage: 'data',
    tls: '',
    category: 'test',
    scope: 'recipient',
    source: 'reply',
    atMs,
    isUncertain: false,
  }
}

/** The settlement of one recipient of a message. */
export function settlement(
  message: Pick<NewMessage, 'id' | 'accountKey' | 'streamKey'>,
  key: number,
  number: number,
  recipientCount: number,
  kind: OutcomeKind,
  change: Partial<Settlement> = {},
): Settlement {
  const isDeferred = kind === 'deferred'
  return {
    messageKey: key,
    messageId: message.id,
    recipientNumber: number,
    recipientCount,
    accountKey: message.accountKey,
    streamKey: message.streamKey,
    attempts: 1,
    eventType: kind as EventType,
    facts: packOutcomeFacts({
      forwardPath: `user${number}@example.net`,
      attempt: 1,
      outcome: outcome(kind),
      nextAttemptAtMs: 0,
      conversation: ['> DATA', '< 354'],
    }),
    atMs: startMs,
    nextAttemptAtMs: isDeferred ? startMs + 60_000 : 0,
    lastOutcome: isDeferred ? packOutcome(outcome(kind)) : Buffer.alloc(0),
    isDelayNotified: false,
    ...change,
  }
}

/** A batch with only what is given. */
export function batch(change: Partial<SettleBatch>): SettleBatch {
  return { settlements: [], giveBacks: [], messages: [], events: [], ...change }
}

/** Accepts a message and gives its key. */
export async function accepted(store: ThreadStore, message: NewMessage): Promise<number> {
  const result = await store.queue.accept(message)
  if (result.kind !== 'stored') throw new Error(result.why)
  return result.key
}
