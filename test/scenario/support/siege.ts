// A server under attack, watched: how much memory its process takes, and whether an ordinary client is served meanwhile.
//
// `during` runs an attack while an ordinary client sends one message after the other, each over a connection of its own
// with TLS and login, and waits until each was delivered. Resident memory and file descriptors are those of the real
// process, read from /proc; the peak is the kernel's own (VmHWM), so nothing between two looks is missed.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { queuedId, type SmtpClient } from './client.ts'
import { House, type HouseOptions, message } from './house.ts'
import { Receiver } from './receiver.ts'

const mebibyte = 1024 * 1024

/** What an attack may cost, and what it did. */
export interface Cost {
  /** Peak of resident memory above the calm state. */
  readonly growthBytes: number
  /** Messages that the ordinary client had delivered while the attack ran. */
  readonly served: number
  /** The slowest of them, from connecting to having arrived. */
  readonly slowestMs: number
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

  /** Runs the attack beside ordinary mail and holds what it costs against `growthMax` (MiB). */
  async during(attack: () => Promise<unknown>, growthMebibytesMax: number): Promise<Cost> {
    const processId = this.house.server.processId
    const calmBytes = statusBytes(processId, 'VmRSS')
    resetPeak(processId)
    let isOver = false
    let served = 0
    let slowestMs = 0
    const mail = async (): Promise<void> => {
      do {
        const startMs = performance.now()
        await this.sendOrdinary()
        slowestMs = Math.max(slowestMs, performance.now() - startMs)
        served++
        // Brisk at first, since some attacks are short; below the rate that an address is allowed in the long run.
        await sleep(served < 20 ? 50 : 500)
      } while (!isOver)
    }
    const attacking = attack().finally(() => {
      isOver = true
    })
    await Promise.all([attacking, mail()])
    const growthBytes = Math.max(0, statusBytes(processId, 'VmHWM') - calmBytes)
    const cost = { growthBytes, served, slowestMs }
    assert.ok(growthBytes <= growthMebibytesMax * mebibyte, `memory grew too much: ${describe(cost)}`)
    return cost
  }

  /** One ordinary message on a connection of its own; rejects when it has not arrived in time. */
  async sendOrdinary(timeoutMs: number = 60_000): Promise<void> {
    const number = ++this.#count
    const subject = `X-Number: ${number}`
    await inTime(timeoutMs, `the ordinary message ${number} was not taken`, async () => {
      await using client = await this.house.client()
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
export function describe({ growthBytes, served, slowestMs }: Cost): string {
  const grown = (growthBytes / mebibyte).toFixed(1)
  return `${grown} MiB more, ${served} ordinary messages delivered meanwhile, the slowest in ${Math.round(slowestMs)} ms`
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
  while (sent < totalBytes && !socket.destroyed && socket.writable) {
    sent += block.length
    if (!socket.write(block)) await Promise.race([new Promise(r => socket.once('drain', r)), closed(socket)])
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

/** Linux only; elsewhere the attacks run all the same, and only what they cost is not seen. */
const hasProc = existsSync('/proc/self/clear_refs')

/** A size of /proc/PID/status. */
function statusBytes(processId: number, name: 'VmRSS' | 'VmHWM'): number {
  if (!hasProc) return 0
  const status = readFileSync(`/proc/${processId}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024
}

/** Makes VmHWM start anew from what is resident now. */
function resetPeak(processId: number): void {
  if (hasProc) writeFileSync(`/proc/${processId}/clear_refs`, '5')
}
