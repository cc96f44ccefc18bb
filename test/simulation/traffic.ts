// What the applications send: login codes and receipts of small accounts, newsletters of large ones, all at random.

import type { IdGenerator } from '../../src/base/index.ts'
import { packAccepted } from '../../src/events/index.ts'
import { type NewMessage, type NewRecipient, notifyBits } from '../../src/queue/index.ts'
import type { Random } from '../support/random.ts'
import { idField } from './peer-session.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { World } from './world.ts'

const minute = 60_000
const hour = 60 * minute

export interface Kind {
  readonly name: string
  readonly accountKey: number
  readonly streamKey: number
  readonly priority: number
  /** Messages an hour; each burst counts as one. */
  readonly perHour: number
  readonly burst: readonly [min: number, max: number]
  readonly recipients: readonly [min: number, max: number]
  readonly expireMs: readonly number[]
  readonly sendsDsn: boolean
}

/** Account 1 is the large one. */
export const kinds: readonly Kind[] = [
  {
    name: 'login code',
    accountKey: 2,
    streamKey: 2,
    priority: 0,
    perHour: 60,
    burst: [1, 1],
    recipients: [1, 1],
    expireMs: [10 * minute, hour],
    sendsDsn: false,
  },
  {
    name: 'receipt',
    accountKey: 3,
    streamKey: 3,
    priority: 5,
    perHour: 60,
    burst: [1, 3],
    recipients: [1, 2],
    expireMs: [6 * hour, 24 * hour],
    sendsDsn: true,
  },
  {
    name: 'list mail',
    accountKey: 4,
    streamKey: 4,
    priority: 5,
    perHour: 6,
    burst: [1, 1],
    recipients: [2, 30],
    expireMs: [24 * hour],
    sendsDsn: true,
  },
  {
    name: 'newsletter',
    accountKey: 1,
    streamKey: 1,
    priority: 5,
    perHour: 1,
    burst: [50, 700],
    recipients: [1, 1],
    expireMs: [10 * minute, 6 * hour, 48 * hour],
    sendsDsn: false,
  },
  {
    name: 'login code of the large one',
    accountKey: 1,
    streamKey: 5,
    priority: 0,
    perHour: 10,
    burst: [1, 1],
    recipients: [1, 1],
    expireMs: [hour],
    sendsDsn: false,
  },
]

/** What senders want to hear of, in turn. */
const notifies: readonly number[] = [
  notifyBits.notSaid,
  notifyBits.failure,
  notifyBits.notSaid,
  notifyBits.never,
  notifyBits.success,
  notifyBits.failure | notifyBits.delay,
]
const content = Buffer.from('Subject: simulated\r\n\r\nbody\r\n')

/** Makes messages. */
export class Traffic {
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #world: World
  readonly #ids: IdGenerator
  #serial = 0

  constructor(time: VirtualTime, random: Random, world: World, ids: IdGenerator) {
    this.#time = time
    this.#random = random
    this.#world = world
    this.#ids = ids
  }

  /** Plans this kind's next message, and the ones behind it, until `isOver`. */
  plan(
    kind: Kind,
    rate: number,
    send: (makes: ((hasRoom: boolean) => NewMessage)[]) => void,
    isOver: () => boolean,
  ): void {
    const delayMs = (-Math.log(1 - this.#random.next()) * hour) / (kind.perHour * rate)
    this.#time.after(delayMs, () => {
      if (isOver()) return
      const count = this.#random.between(...kind.burst)
      // A newsletter is mostly for one site, and that mostly a large provider.
      const domain = this.#random.chance(0.7) ? this.#domain(0.6) : null
      send(Array.from({ length: count }, () => this.#message(kind, count > 10 ? domain : null)))
      this.plan(kind, rate, send, isOver)
    })
  }

  #domain(providerShare: number = 0.25): string {
    const role = this.#random.chance(providerShare) ? 'provider' : 'ordinary'
    const sites = this.#world.sites.filter(({ settings }) => settings.role === role)
    return this.#random.pick(this.#random.pick(sites).settings.domains)
  }

  #message(kind: Kind, domain: string | null): (hasRoom: boolean) => NewMessage {
    const serial = ++this.#serial
    const count = this.#random.between(...kind.recipients)
    const recipients = Array.from({ length: count }, (_, number) => this.#recipient(serial, number, domain))
    const id = this.#ids.next()
    const lifeMs = this.#random.pick(kind.expireMs)
    const prefix = Buffer.from(`${idField}${id.toString('hex')}\r\n`)
    const reversePath = `s${serial}@senders.test`
    const { accountKey, streamKey, priority, sendsDsn } = kind
    const acceptedFacts = packAccepted({
      reversePath,
      forwardPaths: recipients.map(one => one.forwardPath),
      sizeBytes: content.length,
      clientAddress: '',
      helloName: '',
      door: 'smtp',
      username: '',
      headerMessageId: '',
      signedBy: [],
      tls: '',
    })
    return hasRoom => ({
      id,
      accountKey,
      streamKey,
      reversePath,
      sentReversePath: reversePath,
      isEightBit: false,
      isSmtpUtf8: false,
      ret: '',
      envelopeId: '',
      acceptedAtMs: this.#time.nowMs(),
      expiresAtMs: this.#time.nowMs() + lifeMs,
      priority,
      sendsDsn,
      prefix,
      sizeBytes: prefix.length + content.length,
      content: { kind: 'inline', parts: [content], sizeBytes: content.length },
      recipients,
      startState: hasRoom ? 'leased' : 'scheduled',
      startReason: hasRoom ? 'first-attempt' : 'ready-queue-full',
      firstAttemptAtMs: this.#time.nowMs(),
      acceptedFacts,
    })
  }

  #recipient(serial: number, number: number, given: string | null): NewRecipient {
    const domain = given ?? (this.#random.chance(0.01) ? 'nowhere.test' : this.#domain())
    const mailbox = this.#random.chance(0.02) ? 'no' : this.#random.chance(0.01) ? 'full' : 'u'
    const forwardPath = `${mailbox}${serial}.${number}@${domain}`
    return { number, forwardPath, domain, notify: notifies[serial % notifies.length]!, originalRecipient: '' }
  }
}
