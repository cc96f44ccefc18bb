// What the tests of connections that only cost have in common: a server with short deadlines and a door for a proxy, and
// clients that look at every reply on their way, so that they are where they say.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls, { type TLSSocket } from 'node:tls'
import { freePort } from '../../support/postrider.ts'
import { plainToken } from './client.ts'
import type { House } from './house.ts'
import { describe, manyAddresses, rawConnection, Siege } from './siege.ts'

/** Clients of these addresses need no login, so that they come as far as DATA without the cost of TLS. */
const network = '127.30.0.0/16'
export const inside = (index: number): string => `127.30.${(index >> 8) & 255}.${index & 255 || 1}`

/** Between commands, in the content, and for a TLS handshake or PROXY header. */
export const deadlinesMs: Readonly<Record<'idle' | 'dataIdle' | 'handshake', number>> = {
  idle: 10_000,
  dataIdle: 8000,
  handshake: 6000,
}
/** Deadlines are looked at once a second, and time is read from a clock that is a second coarse. */
export const coarseMs = 1000
/** A drip, and a busy machine. */
export const slackMs = 4000
/** How soon an ordinary client is served while others drip. */
export const servedMsMax = 1000
export const unreadMs = 3000

const limits = [
  '[limits]',
  `idle = "${deadlinesMs.idle}ms"`,
  `data_idle = "${deadlinesMs.dataIdle}ms"`,
  `handshake = "${deadlinesMs.handshake}ms"`,
  // Who attacks from few networks is found by that, however fast: no client has been here for long enough.
  'stranger = "10m"',
  `unread_replies = "${unreadMs}ms"`,
  // So that the rate of an address is not what is tested here.
  'connection_rate_per_address = 100000',
].join('\n')

/** A line that is sent (null: nothing, for the greeting) and the code of its reply. */
export type Turn = readonly [line: string | null, code: number]

export const greeting: Turn = [null, 220]
export const hello: Turn = ['EHLO x', 250]
export const mail: Turn = ['MAIL FROM:<ann@acme.example>', 250]
export const rcpt: Turn = ['RCPT TO:<u@calm.example>', 250]
export const data: Turn = ['DATA', 354]

/** The server, attacked by what a test brings. */
export class HostileClients implements AsyncDisposable {
  readonly siege: Siege
  /** Of the door that demands a PROXY header from 127.40.0.0/16. */
  readonly proxiedPort: number
  #calmDescriptors = 0

  private constructor(siege: Siege, proxiedPort: number) {
    this.siege = siege
    this.proxiedPort = proxiedPort
  }

  /** @param moreLimits lines of `[limits]` */
  static async open(moreLimits: string = ''): Promise<HostileClients> {
    const proxied = await freePort()
    const door = `[[listener]]\naddress = "127.0.0.1:${proxied}"\nkind = "submission"\nproxy_protocol = ["127.40.0.0/16"]`
    const siege = await Siege.open({
      toml: `${limits}\n${moreLimits}\n${door}\n`,
      relay: `networks = ["${network}"]\naccount = "acme"`,
    })
    const clients = new HostileClients(siege, proxied)
    await clients.settled()
    clients.#calmDescriptors = siege.descriptors
    return clients
  }

  get ports(): House['ports'] {
    return this.siege.house.ports
  }

  /** Runs an attack (see `Siege.during`) and says what it cost. */
  async attacked(
    t: TestContext,
    growthMebibytesMax: number,
    attack: (round: number) => Promise<void>,
    slowestMsMax?: number,
  ): Promise<void> {
    t.diagnostic(describe(await this.siege.during(attack, growthMebibytesMax, slowestMsMax)))
  }

  /** Waits until no session is open any more. */
  async settled(timeoutMs: number = 60_000): Promise<void> {
    const endMs = Date.now() + timeoutMs
    while ((await this.siege.metric('postrider_sessions_open')) > 0) {
      if (Date.now() > endMs) throw new Error('sessions stay open')
      await sleep(100)
    }
  }

  /** The same, and no descriptor is left of them either. */
  async gone(): Promise<void> {
    await this.settled()
    await this.siege.waitForDescriptors(this.#calmDescriptors + 20)
  }

  /** A transaction with a recipient, and these further turns. */
  async inTransaction(index: number, ...turns: readonly Turn[]): Promise<Socket> {
    return await talked(this.ports.relay, inside(index), [hello, mail, rcpt, ...turns])
  }

  /** Behind TLS and a login, and these further turns: the connection, and what is spoken over it. */
  async loggedIn(
    index: number,
    ...turns: readonly Turn[]
  ): Promise<{ readonly socket: Socket; readonly secure: TLSSocket }> {
    const { username, secret } = this.siege.house.login
    const login: Turn = [`AUTH PLAIN ${plainToken(username, secret)}`, 235]
    const socket = await rawConnection(this.ports.submissions, manyAddresses(index))
    const secure = tls.connect({ socket, rejectUnauthorized: false })
    secure.on('error', () => undefined)
    await take(secure, [greeting, hello, login, ...turns])
    secure.resume()
    return { socket, secure }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.siege[Symbol.asyncDispose]()
  }
}

/** A connection that takes in whatever comes. */
export async function connection(port: number, localAddress: string): Promise<Socket> {
  const socket = await rawConnection(port, localAddress)
  assert.ok(!socket.destroyed, 'connected')
  socket.resume()
  return socket
}

const lastLine = /^(\d{3}) .*\r\n$/m

/** Takes these turns; rejects when a reply is another one or the connection is closed. */
export async function take(socket: Socket, turns: readonly Turn[]): Promise<void> {
  let said = ''
  let isOver = socket.destroyed
  let wake = (): void => {}
  const come = (chunk: Buffer): void => {
    said += chunk.toString('latin1')
    wake()
  }
  const end = (): void => {
    isOver = true
    wake()
  }
  socket.on('data', come)
  for (const event of ['end', 'close', 'error']) socket.on(event, end)
  for (const [line, code] of turns) {
    if (line !== null) socket.write(`${line}\r\n`)
    while (!lastLine.test(said) && !isOver)
      await new Promise<void>(resolve => {
        wake = resolve
      })
    const got = Number(lastLine.exec(said)?.[1])
    if (got !== code) throw new Error(`not ${code} to ${line ?? 'a new connection'}: ${said || 'closed'}`)
    said = ''
  }
  socket.off('data', come)
  for (const event of ['end', 'close', 'error']) socket.off(event, end)
}

/** A connection on which the greeting came and these turns were taken. */
export async function talked(port: number, localAddress: string, turns: readonly Turn[]): Promise<Socket> {
  const socket = await rawConnection(port, localAddress)
  await take(socket, [greeting, ...turns])
  socket.resume()
  return socket
}
