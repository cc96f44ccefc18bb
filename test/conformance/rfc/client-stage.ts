// Plays dialogues against Postrider's delivery: the script is the receiving server. Real sockets, a real Postrider.
//
// Plan:
// 1. each dialogue gets an address and listener of its own and a domain that is routed to it
// 2. one Postrider starts with all routes; each dialogue's message is submitted
// 3. the scripts run beside each other, each at the pace of its client; server lines that
//    stand together leave in one write
// 4. the outcomes are read from the event log, reports where their sender gets mail
// A connection that the script does not want is closed, so that a script that went wrong ends in an outcome too.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext } from 'node:tls'
import { makeCertificate } from '../../../src/protocol/smtp/client/testing/certificates.ts'
import {
  type PeerConnection,
  type ScriptedPeer,
  startPeer,
} from '../../../src/protocol/smtp/client/testing/scripted-peer.ts'
import { queuedId, type SmtpClient } from '../../scenario/support/client.ts'
import { eventsOf, House, type ShownEvent, waitForEvents } from '../../scenario/support/house.ts'
import { Receiver } from '../../scenario/support/receiver.ts'
import { contents } from './contents.ts'
import { bytesOf, type Dialogue, fill, type Step } from './dialogue.ts'
import { within } from './within.ts'

const deadlineMs = 30_000
const silenceMs = 200

/** Deadlines short enough to be met in a test, and long enough for a busy machine. */
const delivery =
  '[delivery]\ngreeting_timeout = "8s"\ncommand_timeout = "8s"\nend_of_data_timeout = "8s"\n[retry]\nschedule = ["1h"]\n'

/** A dialogue on its way. */
interface Play {
  readonly dialogue: Dialogue
  readonly domain: string
  readonly address: string
  readonly peer: ScriptedPeer
  readonly script: Script
  messageId: string
}

/** All dialogues of the client side, played together. */
export class ClientStage implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack
  /** Where the senders get their reports. */
  readonly #sender: Receiver
  readonly #plays: ReadonlyMap<Dialogue, Play>
  #events: readonly ShownEvent[] = []

  private constructor(owned: AsyncDisposableStack, plays: ReadonlyMap<Dialogue, Play>, sender: Receiver) {
    this.#sender = sender
    this.#owned = owned
    this.#plays = plays
  }

  /** Starts everything and plays everything; nothing is judged yet. */
  static async play(dialogues: readonly Dialogue[]): Promise<ClientStage> {
    await using owned = new AsyncDisposableStack()
    const certificate = makeCertificate('mx.example')
    const plays = new Map<Dialogue, Play>()
    for (const [index, dialogue] of dialogues.entries()) {
      const domain = `d${index}.example`
      const script = new Script(dialogue, domain, certificate)
      // An address of its own: what is remembered of a host (TLS worked there) counts for all its ports.
      const address = `127.9.${index >> 8}.${index & 255}`
      const peer = owned.use(await startPeer(connection => script.connected(connection), address))
      plays.set(dialogue, { dialogue, domain, address, peer, script, messageId: '' })
    }
    const sender = owned.use(await Receiver.start())
    const routes = [toSender(sender), ...[...plays.values()].map(routeOf)].join('')
    const house = owned.use(await House.open(delivery + routes))
    await house.command('stream', 'update', 'default', '--account', 'acme', '--failure-report', 'event+dsn')
    await using client = await house.client()
    for (const play of plays.values()) play.messageId = await submit(client, play)
    await Promise.all([...plays.values()].map(({ script }) => script.run()))
    const stage = new ClientStage(owned.move(), plays, sender)
    // What is missing then is missed by its own dialogue.
    stage.#events = await waitForEvents(house.server, events => stage.#isComplete(events), deadlineMs).catch(
      () => eventsOf(house.server),
    )
    for (const { dialogue, domain } of plays.values())
      if (dialogue.reports.length > 0)
        await sender.waitFor(() => stage.#report(domain) !== '', deadlineMs).catch(() => undefined)
    return stage
  }

  /** Throws what went wrong with a dialogue. */
  judge(dialogue: Dialogue): void {
    const { script, messageId, domain } = this.#plays.get(dialogue)!
    if (script.failure !== null) throw script.failure
    for (const pattern of dialogue.reports) assert.match(this.#report(domain), pattern)
    for (const pattern of dialogue.arrives) assert.match(script.content, pattern)
    for (const expected of dialogue.outcomes) {
      const [, name = '', kind, code, enhanced = '', stage = '', isUncertain = ''] =
        /^(\S+) (\w+) (\d{3})(?: (\d\.\d+\.\d+))?(?: at (\w+))?( uncertain)?$/.exec(expected) ?? []
      assert.notEqual(name, '', `no outcome: ${expected}`)
      const outcome = this.#events.find(
        one => one.messageId === messageId && one.outcome && one.forwardPath?.startsWith(`${name}@`),
      )?.outcome
      const shown = `${outcome?.kind} ${outcome?.code} ${outcome?.enhancedCode} at ${outcome?.stage}: ${outcome?.text}`
      assert.equal(`${outcome?.kind} ${outcome?.code}`, `${kind} ${code}`, shown)
      if (enhanced !== '') assert.equal(outcome?.enhancedCode, enhanced, shown)
      if (stage !== '') assert.equal(outcome?.stage, stage, shown)
      assert.equal(outcome?.isUncertain === true, isUncertain !== '', shown)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync()
  }

  /** The report about mail to this domain, lines ended by LF; empty while there is none. */
  #report(domain: string): string {
    const found = this.#sender.messages.find(one => one.from === '' && one.content.includes(`@${domain}`))
    return found?.content.toString('utf8').replaceAll('\r\n', '\n') ?? ''
  }

  #isComplete(events: readonly ShownEvent[]): boolean {
    const counts = new Map<string, number>()
    for (const { messageId, outcome } of events)
      if (messageId !== null && outcome !== undefined) counts.set(messageId, (counts.get(messageId) ?? 0) + 1)
    return [...this.#plays.values()].every(
      ({ dialogue, messageId }) => (counts.get(messageId) ?? 0) >= dialogue.outcomes.length,
    )
  }
}

function toSender({ port }: Receiver): string {
  return `[[route]]\nrecipient_domain = "acme.example"\nsmarthost = "127.0.0.1:${port}"\n`
}

function routeOf({ dialogue, domain, address, peer }: Play): string {
  const scheme = dialogue.route.includes('smtps') ? 'smtps://' : ''
  const lines = dialogue.route.filter(line => line !== 'smtps').map(line => `${line}\n`)
  // Sub-domains too: a route of its own each, to the same smarthost.
  const route = (name: string): string =>
    `[[route]]\nrecipient_domain = "${name}"\nsmarthost = "${scheme}${address}:${peer.port}"\n${lines.join('')}`
  return route(domain) + route(`.${domain}`)
}

async function submit(client: SmtpClient, { dialogue, domain }: Play): Promise<string> {
  const given =
    dialogue.submission.length > 0
      ? dialogue.submission
      : ['MAIL FROM:<ann@acme.example>', 'RCPT TO:<a@{domain}>']
  for (const line of given) {
    const [, verb = line, times = '1'] = /^(.*?)(?: \*(\d+))?$/.exec(line) ?? []
    for (let n = 1; n <= Number(times); n++) {
      const reply = await client.command(fill(verb, { domain, n: String(n) }))
      if (reply.code !== 250) throw new Error(`${dialogue.place}: ${line} was answered ${reply.text}`)
    }
  }
  const content = contents[dialogue.content]
  if (content === undefined) throw new Error(`${dialogue.place}: there is no content ${dialogue.content}`)
  await client.command('DATA')
  client.write(`${content.replaceAll(/^\./gm, '..')}\r\n.\r\n`)
  return queuedId(await client.reply())
}

/** One script over the connections that come. */
class Script {
  readonly #dialogue: Dialogue
  readonly #domain: string
  readonly #certificate: { readonly key: string; readonly cert: string }
  readonly #coming: PeerConnection[] = []
  readonly #greeted = new Set<PeerConnection>()
  readonly #handshakes = new Map<PeerConnection, Promise<void>>()
  #connection: PeerConnection | null = null
  #wake: () => void = () => {}
  #isOver = false
  #octets = 0
  /** Everything that came as content. */
  content = ''
  failure: Error | null = null

  constructor(dialogue: Dialogue, domain: string, certificate: { key: string; cert: string }) {
    this.#dialogue = dialogue
    this.#domain = domain
    this.#certificate = certificate
  }

  connected(connection: PeerConnection): void {
    if (this.#isOver) connection.socket.destroy()
    else this.#coming.push(connection)
    // TLS from the first byte cannot wait for the script to come by.
    if (this.#dialogue.steps[0]?.text === '(TLS)')
      this.#handshakes.set(connection, connection.startTls(this.#certificate))
    this.#wake()
  }

  /** Never rejects: see `failure`. */
  async run(): Promise<void> {
    let step: Step | undefined
    try {
      for (step of this.#dialogue.steps) for (let n = 1; n <= step.times; n++) await this.#do(step, n)
    } catch (error) {
      const { text, line = 0 } = step!
      this.failure = new Error(`line ${line}, ${text}: ${(error as Error).message}`, { cause: error })
      this.#connection?.socket.destroy()
    }
    this.#isOver = true
    for (const one of this.#coming) one.socket.destroy()
  }

  async #do({ speaker, text, isRaw }: Step, n: number): Promise<void> {
    const isAnother = text === '(connects again)'
    if (isAnother || this.#connection === null) this.#connection = await this.#next()
    if (isAnother) return
    const peer = this.#connection
    if (speaker === 'server') await inTime(this.#say(peer, text, n, isRaw), 'TLS')
    else await inTime(this.#hear(peer, text, n), 'it')
  }

  async #say(peer: PeerConnection, text: string, n: number, isRaw: boolean): Promise<void> {
    const version = /^\(TLS (\d\.\d)\)$/.exec(text)?.[1]
    const hello = /^\(hello(?:: (.*))?\)$/.exec(text)
    if (hello !== null) await this.#hello(peer, hello[1]?.split(', ') ?? [])
    else if (version !== undefined) await this.#oldTls(peer, version)
    else if (text === '(TLS)') await (this.#handshakes.get(peer) ?? peer.startTls(this.#certificate))
    else if (text === '(TLS, left)') await Promise.race([peer.startTls(this.#certificate), peer.closed()])
    else if (text === '(closes)') peer.socket.destroy()
    else peer.send(bytesOf(`${fill(text, { domain: this.#domain, n: String(n) })}${isRaw ? '' : '\\r\\n'}`))
  }

  /** This version alone; over as well when the client turns away. */
  async #oldTls(peer: PeerConnection, version: string): Promise<void> {
    const name = `TLSv${version}` as 'TLSv1.2'
    const options = {
      ...this.#certificate,
      minVersion: name,
      maxVersion: name,
      ciphers: 'DEFAULT@SECLEVEL=0',
    }
    const secureContext = createSecureContext(options)
    await Promise.race([peer.startTls({ secureContext }).catch(() => undefined), peer.closed()])
  }

  async #hello(peer: PeerConnection, keywords: readonly string[]): Promise<void> {
    if (!this.#greeted.has(peer)) peer.send('220 mx.example ESMTP\r\n')
    this.#greeted.add(peer)
    await peer.line('EHLO relay.example')
    const lines = ['mx.example', ...keywords]
    peer.send(lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join(''))
  }

  async #hear(peer: PeerConnection, text: string, n: number): Promise<void> {
    if (text === '(nothing)') {
      await sleep(silenceMs)
      assert.equal(peer.pending, '', 'something came')
    } else if (text === '(closes)') await peer.closed()
    else if (text === '(leaves)') assert.equal(await peer.line().catch(() => 'QUIT'), 'QUIT')
    else if (text === '(content)') this.content += (await peer.data()).toString('utf8')
    else if (text === '(octets)') this.content += (await peer.octets(this.#octets)).toString('utf8')
    else {
      const line = await peer.line()
      assert.match(line, patternOf(fill(text, { domain: this.#domain, n: String(n) })))
      this.#octets = Number(/^BDAT (\d+)/.exec(line)?.[1] ?? this.#octets)
    }
  }

  async #next(): Promise<PeerConnection> {
    return await inTime(
      (async () => {
        for (;;) {
          const one = this.#coming.shift()
          if (one !== undefined) return one
          await new Promise<void>(resolve => {
            this.#wake = resolve
          })
        }
      })(),
      'a connection',
    )
  }
}

/** The text as it is, with `…` for anything. */
function patternOf(text: string): RegExp {
  const parts = text.split('…').map(part => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  return within(promise, what, deadlineMs)
}
