// An engine with everything around it in memory: plans given, outcomes gathered, time that can be moved.

import { type OutcomeFacts, unpackOutcomeFacts } from '../../events/index.ts'
import type { GiveBack, LeasedMessage, LeasedRecipient, NewMessage, Settlement } from '../../queue/index.ts'
import { notifyBits } from '../../queue/index.ts'
import { Room } from '../../queue/ready/index.ts'
import { DeliveryEngine } from '../engine.ts'
import type { DeliveryPorts } from '../engine-ports.ts'
import { type DeliveryOptions, defaultDeliveryOptions } from '../options.ts'
import { reportMessage } from '../report-message.ts'
import type { DeliveryPlan, PlanResult } from '../resolve/index.ts'
import { RouteTable } from '../route.ts'

/** One settled recipient. */
export interface Settled {
  readonly settlement: Settlement
  readonly facts: OutcomeFacts
  readonly messages: readonly NewMessage[]
}

/** A plan of hosts by preference: each `[name, address]` or several addresses. */
export function planOf(domain: string, ...hosts: readonly (readonly [string, ...string[]])[]): DeliveryPlan {
  return {
    kind: 'plan',
    domain,
    site: hosts.map(([name]) => name).join(','),
    provider: null,
    hosts: hosts.map(([name, ...addresses], index) => ({
      name,
      canonicalName: name,
      preference: index,
      addresses: addresses.map(address => ({ address, family: 4 as const })),
      isAuthenticated: false,
    })),
    isImplicitMx: false,
    isMxAuthenticated: false,
    ttlMs: 3_600_000,
  }
}

/** An engine under test and what it did. */
export class Harness {
  readonly settled: Settled[] = []
  readonly givenBack: GiveBack[] = []
  readonly faults: unknown[] = []
  /** Marks written and not cleared. */
  readonly openMarks: Map<number, readonly number[]> = new Map()
  readonly tlsHosts: Map<string, number> = new Map()
  readonly contents: Map<number, Buffer> = new Map()
  /** As the contents: of what is sent as stored. */
  readonly prefixes: Map<number, Buffer> = new Map()
  readonly plans: Map<string, PlanResult> = new Map()
  planCalls = 0
  marksWritten = 0
  /** Marks of which somebody comes again. */
  clearedAtOnce = 0
  resigned = 0
  nowMs = 1_800_000_000_000
  monotonicMs = 1_000
  readonly engine: DeliveryEngine
  readonly #options: DeliveryOptions
  readonly room: Room
  readonly #members = new Set<{ tick(nowMs: number): void }>()
  #nextKey = 1
  readonly #waiters: { readonly isTrue: () => boolean; readonly resolve: () => void }[] = []

  constructor(port: number, options: Partial<DeliveryOptions> = {}, ports: Partial<DeliveryPorts> = {}) {
    const all: DeliveryOptions = {
      ...defaultDeliveryOptions,
      source: { name: 'main', ehloName: 'relay.test', ipv4: '', ipv6: '' },
      mxPort: port,
      retry: { intervalsMs: [60_000] },
      ...options,
    }
    this.room = new Room({
      recipientsMax: all.readyRecipientsMax,
      contentBytesMax: all.readyContentBytesMax,
      changedBytesMax: all.readyContentBytesMax,
    })
    this.#options = all
    this.engine = new DeliveryEngine({ ...this.#ports(), ...ports }, all)
  }

  /** As a reload of the configuration does, with the same options. */
  reload(): void {
    this.engine.setOptions(this.#options)
  }

  #ports(): DeliveryPorts {
    const cached = (domain: string) => {
      const plan = this.plans.get(domain)
      return plan === undefined ? undefined : { ...plan }
    }
    return {
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.monotonicMs },
      random: () => 0.5,
      ticker: this.#members,
      room: this.room,
      routes: new RouteTable([]),
      planner: {
        cached,
        plan: async domain => {
          this.planCalls++
          await new Promise(resolve => setImmediate(resolve))
          return cached(domain) ?? unknownDomain(domain)
        },
        cachedSmarthost: (host, port) => cached(`${host}:${port}`),
        planSmarthost: async (host, port) => cached(`${host}:${port}`) ?? unknownDomain(host),
      },
      sink: {
        settle: (settlements, messages, done) => {
          for (const [at, settlement] of settlements.entries())
            this.settled.push({
              settlement,
              facts: unpackOutcomeFacts(settlement.facts),
              messages: at === 0 ? messages : [],
            })
          setImmediate(() => done?.())
          this.#look()
        },
        giveBack: giveBacks => {
          this.givenBack.push(...giveBacks)
          this.#look()
        },
      },
      content: {
        readPrefix: key => this.prefixes.get(key) ?? null,
        readContent: async key => this.contents.get(key) ?? null,
        openContent: key => chunksOf(this.contents.get(key) ?? Buffer.alloc(0)),
      },
      marks: {
        mark: (_, numbers) => {
          this.openMarks.set(++this.marksWritten, numbers)
          return this.marksWritten
        },
        write: () => {},
        clear: (token, comesAgain) => {
          if (comesAgain) this.clearedAtOnce++
          if (!this.openMarks.delete(token)) throw new Error(`mark ${token} was cleared twice`)
        },
      },
      memory: {
        lastTlsAtMs: host => this.tlsHosts.get(host) ?? 0,
        noteTls: (host, atMs) => this.tlsHosts.set(host, atMs),
      },
      resigner: {
        resign: async () => {
          this.resigned++
          return Buffer.from('X-Signed-Again: yes\r\n')
        },
      },
      reportIdentity: {
        host: 'relay.test',
        from: 'mailer-daemon@relay.test',
        nextId: () => ({ bytes: Buffer.alloc(16, 7), text: 'report-1' }),
      },
      makeReport: async draft =>
        reportMessage(draft, { prefix: Buffer.alloc(0), signedBy: [], expireMs: 1_000 }),
      onFault: error => this.faults.push(error),
    }
  }

  /** Hands a message to the engine; paths may be given with changes to their recipient. */
  send(
    paths: readonly (string | (Partial<LeasedRecipient> & { forwardPath: string }))[],
    change: Partial<LeasedMessage> & { text?: string; isStored?: boolean; parts?: readonly Buffer[] } = {},
  ): LeasedMessage {
    const { text = 'Subject: hello\r\n\r\nbody\r\n', isStored = false, parts, ...rest } = change
    const content = parts === undefined ? Buffer.from(text) : Buffer.concat(parts)
    const prefix = rest.prefix ?? Buffer.from('Received: from here\r\n')
    const message: LeasedMessage = {
      id: Buffer.alloc(16, this.#nextKey),
      key: this.#nextKey++,
      accountKey: 1,
      streamKey: 1,
      reversePath: 'sender@example.test',
      sentReversePath: 'sender@example.test',
      isEightBit: false,
      isSmtpUtf8: false,
      ret: '',
      envelopeId: '',
      acceptedAtMs: this.nowMs,
      expiresAtMs: this.nowMs + 86_400_000,
      priority: 5,
      sendsDsn: false,
      sizeBytes: prefix.length + content.length,
      content: { kind: 'inline', sizeBytes: content.length },
      recipientCount: paths.length,
      recipients: paths.map((path, number) => recipientOf(path, number)),
      ...rest,
      prefix: isStored ? null : prefix,
    }
    if (isStored) {
      this.contents.set(message.key, content)
      this.prefixes.set(message.key, prefix)
    }
    this.engine.enqueue(message, isStored ? null : (parts ?? [content]))
    return message
  }

  /** Waits until so many recipients are settled. */
  settledCount(count: number): Promise<void> {
    return this.until(() => this.settled.length >= count)
  }

  /** Waits for a condition, looked at after each result. */
  until(isTrue: () => boolean): Promise<void> {
    return new Promise(resolve => {
      this.#waiters.push({ isTrue, resolve })
      this.#look()
    })
  }

  /** Looks at the conditions that are waited for. */
  poke(): void {
    this.#look()
  }

  /** Moves time and ticks everything. */
  advance(ms: number): void {
    this.nowMs += ms
    this.monotonicMs += ms
    for (const member of [...this.#members]) member.tick(this.monotonicMs)
  }

  /** Outcome kinds with their paths, in order of paths. */
  kinds(): string[] {
    return this.settled.map(({ facts }) => `${facts.forwardPath} ${facts.outcome.kind}`).sort()
  }

  async close(): Promise<void> {
    await this.engine.drain(AbortSignal.timeout(2_000))
  }

  #look(): void {
    for (const waiter of this.#waiters.splice(0)) {
      if (waiter.isTrue()) waiter.resolve()
      else this.#waiters.push(waiter)
    }
  }
}

function recipientOf(
  given: string | (Partial<LeasedRecipient> & { forwardPath: string }),
  number: number,
): LeasedRecipient {
  const rest = typeof given === 'string' ? { forwardPath: given } : given
  return {
    number,
    domain: rest.forwardPath.slice(rest.forwardPath.lastIndexOf('@') + 1),
    notify: notifyBits.notSaid,
    originalRecipient: '',
    attempts: 0,
    route: '',
    isDelayNotified: false,
    isUncertain: false,
    ...rest,
  }
}

async function* chunksOf(content: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536)
}

function unknownDomain(domain: string): PlanResult {
  return {
    kind: 'failure',
    reason: 'nxdomain',
    isPermanent: true,
    code: 550,
    enhancedCode: '5.1.2',
    text: `the domain ${domain} does not exist`,
    stage: 'resolve',
    scope: 'domain',
    domain,
    ttlMs: 60_000,
  }
}
