// What most scenarios begin with: a running Postrider with an account, its domain and a credential, and its doors.

import { setTimeout as sleep } from 'node:timers/promises'
import { type ControlClient, connectControl, findSocket } from '../../../src/api/control/index.ts'
import { type CommandResult, freePort, Postrider, type PostriderOptions } from '../../support/postrider.ts'
import { SmtpClient } from './client.ts'

/** A credential as it is shown once. */
export interface Login {
  readonly id: string
  readonly username: string
  readonly secret: string
}

/** Ports of the doors that {@link doors} writes. */
export interface Ports {
  readonly relay: number
  readonly submission: number
  readonly submissions: number
}

/** TOML of one listener of each kind on free ports. `relay` and `submission` are added to these sections. */
export async function doors(
  more: { relay?: string; submission?: string } = {},
): Promise<{ readonly ports: Ports; readonly toml: string }> {
  const ports = { relay: await freePort(), submission: await freePort(), submissions: await freePort() }
  const section = (kind: keyof Ports, text: string): string =>
    `[[listener]]\naddress = "127.0.0.1:${ports[kind]}"\nkind = "${kind}"\n${text}\n`
  const toml = [
    section('relay', more.relay ?? ''),
    section('submission', more.submission ?? ''),
    section('submissions', more.submission ?? ''),
  ].join('')
  return { ports, toml }
}

/** How a house is opened. */
export interface HouseOptions extends Partial<Omit<PostriderOptions, 'toml'>> {
  /** Lines of the relay listener's section. */
  readonly relay?: string
  /** Lines of both submission listeners' sections. */
  readonly submission?: string
  /** Sections that need to know the ports. */
  readonly tail?: (ports: Ports) => string
}

/** A Postrider that is ready to send for `acme.example`. */
export class House implements AsyncDisposable {
  readonly server: Postrider
  readonly ports: Ports
  readonly login: Login

  private constructor(server: Postrider, ports: Ports, login: Login) {
    this.server = server
    this.ports = ports
    this.login = login
  }

  /** Starts with all doors; account `acme` sends as `acme.example`, unsigned. */
  static async open(toml: string, more: HouseOptions = {}): Promise<House> {
    const { relay, submission, tail, ...options } = more
    const made = await doors({
      ...(relay === undefined ? {} : { relay }),
      ...(submission === undefined ? {} : { submission }),
    })
    const server = await Postrider.start({
      ...options,
      toml: `${toml}\n${made.toml}${tail?.(made.ports) ?? ''}`,
    })
    const login = await makeAccount(server, 'acme', 'acme.example')
    return new House(server, made.ports, login)
  }

  /** A client that is logged in at the submission door. */
  async client(login: Login = this.login): Promise<SmtpClient> {
    const client = await SmtpClient.connect(this.ports.submission)
    await client.login(login.username, login.secret)
    return client
  }

  command(...args: readonly string[]): Promise<CommandResult> {
    return this.server.command(...args)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

/** An account with a trusted, unsigned domain and an SMTP login. */
export async function makeAccount(server: Postrider, name: string, domain: string): Promise<Login> {
  await server.json('account', 'create', name)
  await server.json('domain', 'add', '--account', name, '--trust', '--no-dkim', domain)
  return await server.json<Login & Record<string, never>>('credential', 'create', '--account', name)
}

/** A small message; `fields` come before the blank line. */
export function message(fields: readonly string[] = [], body: string = 'Hello.'): string {
  return [
    'From: Ann <ann@acme.example>',
    'To: bob@there.example',
    'Subject: a scenario',
    ...fields,
    '',
    body,
  ].join('\r\n')
}

/** An event with the fields that scenarios look at. */
export interface ShownEvent {
  readonly seq: number
  readonly id: string
  readonly at: string
  readonly type: string
  readonly messageId: string | null
  readonly recipientId: string | null
  readonly account: string | null
  readonly forwardPath?: string
  /** Of `accepted`: all recipients. */
  readonly forwardPaths?: readonly string[]
  readonly attempt?: number
  readonly nextAttemptAt?: string | null
  readonly outcome?: ShownOutcome
  readonly conversation?: readonly string[]
  readonly clientAddress?: string
  /** Of `accepted`: protocol and cipher, '' in the clear. */
  readonly tls?: string
  readonly code?: number
  readonly enhancedCode?: string
  readonly reversePath?: string
  readonly text?: string
  readonly door?: string
  readonly by?: string
  readonly note?: string
}

/** An outcome in events and in `message show`. */
export interface ShownOutcome {
  readonly kind: string
  readonly code: number
  readonly enhancedCode: string
  readonly text: string
  readonly remoteHost: string
  readonly remoteAddress: string
  readonly stage: string
  readonly tls: unknown
  readonly category: string
  readonly scope: string
  readonly source: string
  readonly isUncertain?: boolean
  readonly at: string
}

/** What `message show --json` gives. */
export interface ShownMessage {
  readonly id: string
  readonly account: string
  readonly reversePath: string
  readonly recipients: readonly ShownRecipient[]
  readonly events: readonly ShownEvent[]
}

export interface ShownRecipient {
  readonly id: string
  readonly forwardPath: string
  readonly state: string
  readonly attempts: number
  readonly nextAttemptAt: string | null
  readonly waitReasons: readonly { readonly reason: string; readonly detail: string }[]
  readonly outcome: ShownOutcome | null
}

/** All events of a server so far. Asked over the control socket itself: a process for each look would be slow. */
export async function eventsOf(server: Postrider): Promise<ShownEvent[]> {
  using client = await controlOf(server)
  return await eventsAfter(client, 0)
}

/** Waits until the events satisfy a condition, and gives them. */
export async function waitForEvents(
  server: Postrider,
  isEnough: (events: readonly ShownEvent[]) => boolean,
  timeoutMs: number = 60_000,
): Promise<ShownEvent[]> {
  using client = await controlOf(server)
  const endMs = Date.now() + timeoutMs
  const events: ShownEvent[] = []
  for (;;) {
    events.push(...(await eventsAfter(client, events.at(-1)?.seq ?? 0)))
    if (isEnough(events)) return events
    if (Date.now() > endMs)
      throw new Error(
        `not the expected events in ${timeoutMs} ms: ${JSON.stringify(events.slice(-10)).slice(0, 6000)}`,
      )
    await sleep(50)
  }
}

async function controlOf(server: Postrider): Promise<ControlClient> {
  const connected = await connectControl(findSocket(server.dataDir))
  if (!connected.ok) throw new Error(connected.error.message)
  return connected.client
}

async function eventsAfter(client: ControlClient, after: number): Promise<ShownEvent[]> {
  const events: ShownEvent[] = []
  const outcome = await client.call('event.list', { after }, event => void events.push(event as ShownEvent))
  if (!outcome.ok) throw new Error(outcome.error.message)
  return events
}

/** Waits until each of these messages has an event of this type; gives all events. */
export function waitForAll(
  server: Postrider,
  ids: readonly string[],
  type: string,
  timeoutMs: number = 60_000,
): Promise<ShownEvent[]> {
  return waitForEvents(
    server,
    events => {
      const having = new Set(events.filter(event => event.type === type).map(event => event.messageId))
      return ids.every(id => having.has(id))
    },
    timeoutMs,
  )
}

/** The types of the events of one message, in order. */
export function typesOf(events: readonly ShownEvent[], messageId: string): string[] {
  return events.filter(event => event.messageId === messageId).map(event => event.type)
}
