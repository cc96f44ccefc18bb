// A server under attack, watched: how much memory its process takes, and whether an ordinary client is served meanwhile.
//
// `during` runs an attack while an ordinary client sends one message after the other, each over a connection of its
// own with TLS and login, and waits until each was delivered. It fails unless at least one had arrived before the
// attack was over, and when one took too long; what the machine made it wait is told by a dialogue with an idle
// server (idle-dialogue.ts) and counts for neither side. Resident memory and file descriptors are those of the real
// process, read from /proc.
// siege.test.ts shows that all this can fail.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasProc, MemoryPeak } from '../../support/memory-peak.ts'
import { queuedId, SmtpClient } from './client.ts'
import { House, type HouseOptions, message } from './house.ts'
import { IdleDialogue } from './idle-dialogue.ts'
import { Receiver } from './receiver.ts'

const mebibyte = 1024 * 1024

/** An attack that is over sooner is brought again: in less time nobody can be seen to be served. */
const attackMsMin = 2000
const roundPauseMs = 100

/** How long an ordinary message may take, from connecting to having arrived, on a machine that does nothing else. */
const slowestMsMaxDefault = 10_000
/** A message does more in each turn than an idle dialogue does. */
const machineFactor = 3

/** What an attack may cost, and what it did. */
export interface Cost {
  /** Peak of resident memory above the calm state. */
  readonly growthBytes: number
  /** Messages that the ordinary client had delivered before the attack was over. */
  readonly served: number
  /** The slowest of those that were sent meanwhile, from connecting to having arrived. */
  readonly slowestMs: number
  /** What of it the machine may be blamed for: `machineFactor` times the slowest idle dialogue beside it. */
  readonly machineMs: number
}

export interface SiegeOptions extends HouseOptions {
  /** Sections of the configuration besides the route of the ordinary mail. */
  readonly toml?: string
}

/** A house, a receiver for ordinary mail to calm.example, and the watch over both. */
export class Siege implements AsyncDisposable {
  readonly house: House
  readonly receiver: Receiver
  #count = 0

  private constructor(house: House, receiver: Receiver) {
    this.house = house
    this.receiver = receiver
  }

  /** Starts and warms up: what an idle program takes at its first messages is no cost of an attack. */
  static async open({ toml = '', ...options }: SiegeOptions = {}): Promise<Siege> {
    const receiver = await Receiver.start()
    const route = `[[route]]\nrecipient_domain = "calm.example"\nsmarthost = "127.0.0.1:${receiver.port}"\n`
    const siege = new Siege(await House.open(`${toml}\n${route}`, options), receiver)
    for (let round = 0; round < 3; round++) await siege.#warmUp()
    return siege
  }

  /**
   * Runs the attack beside ordinary mail, and again while it is younger than two seconds (`round` counts from 0). Holds
   * what it costs against `growthMebibytesMax` and each ordinary message against `slowestMsMax`.
   */
  async during(
    attack: (round: number) => Promise<unknown>,
    growthMebibytesMax: number,
    slowestMsMax: number = slowestMsMaxDefault,
  ): Promise<Cost> {
    // What is served from here on is served although there is an attack.
    await this.sendOrdinary()
    await using machine = await IdleDialogue.start()
    const memory = new MemoryPeak(this.house.server.processId)
    let isOver = false
    let served = 0
    let slowest = { slowestMs: 0, machineMs: Number.POSITIVE_INFINITY }
    const mail = async (): Promise<void> => {
      while (!isOver) {
        machine.takeMs()
        const startMs = performance.now()
        await this.sendOrdinary()
        const tookMs = performance.now() - startMs
        const machineMs = machine.takeMs() * machineFactor
        if (tookMs - machineMs > slowest.slowestMs - slowest.machineMs)
          slowest = { slowestMs: tookMs, machineMs }
        if (!isOver) served++
        // Brisk at first, since some attacks are short; below the rate that an address is allowed in the long run.
        await sleep(served < 20 ? 50 : 500)
      }
    }
    const attacking = longEnough(attack).finally(() => {
      isOver = true
    })
    await Promise.all([attacking, mail()])
    const { growthBytes } = memory
    const cost = { growthBytes, served, ...slowest }
    assert.ok(growthBytes <= growthMebibytesMax * mebibyte, `memory grew too much: ${describe(cost)}`)
    assert.ok(served > 0, `no ordinary message arrived before the attack was over: ${describe(cost)}`)
    assert.ok(
      slowest.slowestMs - slowest.machineMs <= slowestMsMax,
      `an ordinary message took over ${slowestMsMax} ms: ${describe(cost)}`,
    )
    return cost
  }

  /** One ordinary message on a connection of its own; rejects when it has not arrived in time. */
  async sendOrdinary(timeoutMs: number = 60_000): Promise<void> {
    const number = ++this.#count
    const subject = `X-Number: ${number}`
    await inTime(timeoutMs, `the ordinary message ${number} was not taken`, async () => {
      // From many addresses of one network, so that the rate of an address is not what is tested.
      const localAddress = `127.90.0.${(number % 250) + 1}`
      await using client = await SmtpClient.connect(this.house.ports.submission, { localAddress })
      await client.login(this.house.login.username, this.house.login.secret)
      queuedId(await client.send('ann@acme.example', `bob${number}@calm.example`, message([subject])))
    })
    const to = `bob${number}@calm.example`
    await this.receiver.waitFor(() => this.receiver.messages.some(one => one.to.includes(to)), timeoutMs)
  }

  /** Waits until the server has no more than so many file descriptors open. */
  async waitForDescriptors(max: number, timeoutMs: number = 30_000): Promise<void> {
    const endMs = Date.now() + timeoutMs
    while (this.descriptors > max) {
      if (Date.now() > endMs) throw new Error(`${this.descriptors} descriptors are open, not at most ${max}`)
      await sleep(100)
    }
  }

  get descriptors(): number {
    return hasProc ? readdirSync(`/proc/${this.house.server.processId}/fd`).length : 0
  }

  /** Sum of a metric over its labels; NaN when it is missing. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.house.server.httpPort}/metrics`)).text()
    const values = text
      .split('\n')
      .filter(line => line.startsWith(name) && /[{ ]/.test(line[name.length] ?? ''))
      .map(line => Number(line.slice(line.lastIndexOf(' ') + 1)))
    return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.house[Symbol.asyncDispose]()
    await this.receiver[Symbol.asyncDispose]()
  }

  async #warmUp(): Promise<void> {
    await Promise.all(Array.from({ length: 15 }, () => this.sendOrdinary()))
  }
}

/** In words, for failures and for `t.diagnostic`. */
export function describe({ growthBytes, served, slowestMs, machineMs }: Cost): string {
  const grown = (growthBytes / mebibyte).toFixed(1)
  const slowest = `the slowest in ${Math.round(slowestMs)} ms (machine: ${Math.round(machineMs)} ms)`
  return `${grown} MiB more, ${served} ordinary messages delivered meanwhile, ${slowest}`
}

async function longEnough(attack: (round: number) => Promise<unknown>): Promise<void> {
  const endMs = performance.now() + attackMsMin
  for (let round = 0; ; round++) {
    await attack(round)
    if (performance.now() >= endMs) return
    await sleep(roundPauseMs)
  }
}

/** A raw connection that never fails a test by an error of its own. */
export function rawConnection(port: number, localAddress: string = '127.0.0.1'): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
  socket.on('error', () => undefined)
  return new Promise(resolve => {
    socket.once('connect', () => resolve(socket))
    socket.once('close', () => resolve(socket))
  })
}

/** One of many loopback addresses; each has at most `perAddress` connections when they are asked for in order. */
export function manyAddresses(index: number, perAddress: number = 20): string {
  const number = Math.floor(index / perAddress)
  return `127.20.${number >> 8}.${number & 255 || 256 - 1}`
}

/** Resolves when the peer has closed (or everything is over anyway). */
export function closed(socket: net.Socket): Promise<void> {
  if (socket.closed) return Promise.resolve()
  return new Promise(resolve => socket.once('close', () => resolve()))
}

/** Writes the same block until so many bytes are out or the peer has closed; never holds more than a few blocks. */
export async function pour(socket: net.Socket, block: Buffer | string, totalBytes: number): Promise<number> {
  let sent = 0
  const end = closed(socket)
  while (sent < totalBytes && !socket.destroyed && socket.writable) {
    sent += block.length
    if (!socket.write(block)) await Promise.race([new Promise(r => socket.once('drain', r)), end])
    // A server that reads fast never lets the socket fill: what it says must still be read.
    else await new Promise(resolve => setImmediate(resolve))
  }
  return sent
}

/** MAIL and RCPT, ready for DATA or BDAT. */
export async function transaction(
  client: SmtpClient,
  to: string = 'bob@calm.example',
  parameters: string = '',
): Promise<void> {
  assert.equal((await client.command(`MAIL FROM:<ann@acme.example>${parameters}`)).code, 250)
  assert.equal((await client.command(`RCPT TO:<${to}>`)).code, 250)
}

async function inTime(timeoutMs: number, what: string, work: () => Promise<void>): Promise<void> {
  const control = new AbortController()
  const timer = sleep(timeoutMs, undefined, { signal: control.signal }).then(() => {
    throw new Error(`${what} in ${timeoutMs} ms`)
  })
  timer.catch(() => undefined)
  try {
    await Promise.race([work(), timer])
  } finally {
    control.abort()
  }
}
