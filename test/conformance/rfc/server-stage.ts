// Plays dialogues against a running Postrider: the script is the client. Real sockets, real TLS, a real receiver behind.
//
// Plan of one dialogue:
// 1. connect to the door that `at` names, from an address of its own, and go as far as `at` says
// 2. client lines that stand together leave in one write; each server line is a reply that is waited for
// 3. with `arrives`: wait until the receiver has the message and match it

import assert from 'node:assert/strict'
import type { ConnectionOptions } from 'node:tls'
import { base64, plainToken, SmtpClient } from '../../scenario/support/client.ts'
import { House } from '../../scenario/support/house.ts'
import { type Received, Receiver } from '../../scenario/support/receiver.ts'
import { freePort } from '../../support/postrider.ts'
import { bytesOf, type Dialogue, fill, type Step } from './dialogue.ts'
import { checkReply } from './expected-reply.ts'
import { within } from './within.ts'

const deadlineMs = 20_000
/** How long "nothing comes" is looked at. */
const silenceMs = 200

/** Small limits, so that transcripts that meet them stay short. */
const limits = '[limits]\nmessage_size = "64KiB"\nheader_size = "16KiB"\nrecipients = 100\nerrors = 10\n'

const message = [
  'From: Ann <ann@acme.example>',
  'To: Bob <bob@there.example>',
  'Subject: a dialogue',
  '',
  'Hello.',
]

type Values = Readonly<Record<string, string>>

/** What a door is and from where its clients come: the middle two numbers are the dialogue's own. */
const doors = {
  relay: { port: 'relay', network: 2 },
  stranger: { port: 'relay', network: 3 },
  submission: { port: 'submission', network: 3 },
  submissions: { port: 'submissions', network: 3 },
  proxied: { port: 'proxied', network: 4 },
} as const

const toReady = ['S: 220', 'C: EHLO client.example', 'S: 250']
const toTls = [...toReady, 'C: STARTTLS', 'S: 220', 'C: (TLS)']
const toSecure = [...toTls, 'C: EHLO client.example', 'S: 250']

/** A Postrider with its doors and the receiver that its mail goes to. */
export class ServerStage implements AsyncDisposable {
  readonly #house: House
  readonly #receiver: Receiver
  readonly #proxiedPort: number
  #count = 0

  private constructor(house: House, receiver: Receiver, proxiedPort: number) {
    this.#house = house
    this.#receiver = receiver
    this.#proxiedPort = proxiedPort
  }

  static async open(): Promise<ServerStage> {
    const receiver = await Receiver.start()
    const proxiedPort = await freePort()
    const proxied = `[[listener]]\naddress = "127.0.0.1:${proxiedPort}"\nkind = "relay"\naccount = "acme"\nnetworks = ["198.51.100.0/24", "2001:db8::/32"]\nproxy_protocol = ["127.4.0.0/16"]\nshow_client_address = true\n`
    const house = await House.open(limits + receiver.route + proxied, {
      relay: 'account = "acme"\nnetworks = ["127.2.0.0/16"]',
    })
    return new ServerStage(house, receiver, proxiedPort)
  }

  /** Plays one dialogue; rejects with the line that did not come true. */
  async play(dialogue: Dialogue): Promise<void> {
    const number = ++this.#count
    const { username, secret } = this.#house.login
    const to = `to-${number}@there.example`
    const values: Values = {
      to,
      plain: plainToken(username, secret),
      wrongplain: plainToken(username, 'wrong'),
      foreignplain: plainToken(username, secret, 'somebody-else'),
      user: base64(username),
      secret: base64(secret),
    }
    const [door = '', state = 'connected'] = dialogue.at.split(', ')
    const client = await this.#connect(door, number)
    const session = new Session(client, values)
    try {
      for (const step of prelude(door, state)) await session.group([step])
      for (const group of groupsOf(dialogue.steps)) await session.group(group)
      if (dialogue.arrives.length > 0) await this.#arrives(to, dialogue.arrives)
    } finally {
      await client[Symbol.asyncDispose]()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#house[Symbol.asyncDispose]()
    await this.#receiver[Symbol.asyncDispose]()
  }

  async #connect(name: string, number: number): Promise<SmtpClient> {
    const door = doors[name as keyof typeof doors]
    assert.ok(door !== undefined, `there is no door ${name}`)
    const port = door.port === 'proxied' ? this.#proxiedPort : this.#house.ports[door.port]
    return await SmtpClient.open(port, { localAddress: `127.${door.network}.${number >> 8}.${number & 255}` })
  }

  async #arrives(to: string, patterns: readonly RegExp[]): Promise<void> {
    const isIt = (one: Received): boolean => one.to.includes(to)
    await this.#receiver.waitFor(() => this.#receiver.messages.some(isIt), deadlineMs)
    const { from, fromParameters, toParameters, content } = this.#receiver.messages.find(isIt)!
    const text = `MAIL FROM:<${from}> ${fromParameters}\nRCPT TO:<${to}> ${toParameters.join()}\n${content.toString('utf8').replaceAll('\r\n', '\n')}`
    for (const pattern of patterns) assert.match(text, pattern)
  }
}

/** The steps to the state in which the transcript begins. */
function prelude(door: string, state: string): Step[] {
  const toLogin = [...(door === 'submission' ? toSecure : toReady), 'C: AUTH PLAIN {plain}', 'S: 235']
  const begin = door === 'submission' || door === 'submissions' ? toLogin : toReady
  const toRcpt = [...begin, 'C: MAIL FROM:<ann@acme.example>', 'S: 250', 'C: RCPT TO:<{to}>', 'S: 250']
  const states: Readonly<Record<string, readonly string[]>> = {
    connected: [],
    greeted: ['S: 220'],
    ready: toReady,
    tls: toTls,
    secure: toSecure,
    login: toLogin,
    rcpt: toRcpt,
    data: [...toRcpt, 'C: DATA', 'S: 354'],
  }
  const lines = states[state]
  assert.ok(lines !== undefined, `there is no state ${state}`)
  const ofImplicit = door === 'submissions' && state !== 'connected' ? ['C: (TLS)', ...lines] : lines
  return ofImplicit.map(line => ({
    speaker: line.startsWith('C') ? 'client' : 'server',
    text: line.slice(3),
    times: 1,
    isRaw: false,
    line: 0,
  }))
}

/** Client lines that stand together leave together; handshakes and server lines stand alone. */
function groupsOf(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = []
  for (const step of steps) {
    const last = groups.at(-1)?.at(-1)
    const joins = last?.speaker === 'client' && step.speaker === 'client'
    if (joins && !isTlsWord(step.text) && !isTlsWord(last.text)) groups.at(-1)!.push(step)
    else groups.push([step])
  }
  return groups
}

const isTlsWord = (text: string): boolean => text.startsWith('(TLS')

/** One connection and what a script does with it. */
class Session {
  readonly #client: SmtpClient
  readonly #values: Values

  constructor(client: SmtpClient, values: Values) {
    this.#client = client
    this.#values = values
  }

  async group(steps: readonly Step[]): Promise<void> {
    const [first] = steps
    if (first === undefined) return
    try {
      if (first.speaker === 'server') await this.#hear(first)
      else if (isTlsWord(first.text)) await this.#handshake(first.text)
      else this.#client.write(Buffer.concat(steps.flatMap(step => this.#bytes(step))))
    } catch (error) {
      throw new Error(`line ${first.line}, ${first.text}: ${(error as Error).message}`, { cause: error })
    }
  }

  #bytes({ text, times, isRaw }: Step): Buffer[] {
    const lines = text === '(message)' ? message : [text]
    return Array.from({ length: times }, (_, index) => {
      const values = { ...this.#values, n: String(index + 1) }
      return lines.map(line => bytesOf(isRaw ? fill(line, values) : `${fill(line, values)}\\r\\n`))
    }).flat()
  }

  async #hear({ text, times }: Step): Promise<void> {
    if (text === '(closes)') {
      await inTime(this.#client.ended(), 'the end of the connection')
      const more = await this.#client.replyOrEnd()
      assert.equal(more, null, `a reply that was not expected: ${more?.text}`)
    } else if (text === '(nothing)') {
      assert.equal(await this.#client.isSilent(silenceMs), true, 'something came')
    } else for (let i = 0; i < times; i++) checkReply(text, await inTime(this.#client.reply(), 'a reply'))
  }

  /** `(TLS)`, `(TLS 1.1 fails)`, `(TLS 1.3 only)`. */
  async #handshake(word: string): Promise<void> {
    const [, version, how] = /^\(TLS(?: (\d\.\d))?(?: (fails|only))?\)$/.exec(word) ?? []
    const options = version === undefined ? {} : onlyVersion(version)
    const done = inTime(this.#client.handshake(options), 'the handshake')
    if (how === 'fails') await assert.rejects(done)
    else await done
  }
}

/** OpenSSL itself refuses old versions unless its security level is lowered. */
function onlyVersion(version: string): ConnectionOptions {
  const name = `TLSv${version}` as 'TLSv1.1'
  return { minVersion: name, maxVersion: name, ciphers: 'DEFAULT@SECLEVEL=0' }
}

function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  return within(promise, what, deadlineMs)
}
