// The lab's authoritative DNS server: UDP and TCP on one loopback port.
//
// It answers from zones given as data and misbehaves where it was told to. It is for the lab and for tests:
// it holds everything in memory, has no access control beyond its bind address, and keeps no timers alive
// after close. Bad input is dropped, never thrown.

import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import type { LabDnsFault, LabDnsFaultAt } from './fault.ts'
import { type LabReply, respond } from './respond.ts'
import { type LabRecordData, type LabRecordType, type LabZone, labName, ZoneBook } from './zone.ts'

const bindAttempts = 20
const tcpIdleMs = 10_000
/** Questions counted one by one: a load test has ever new names. */
const questionsMax = 100_000

export interface LabDnsOptions {
  /** Loopback address to bind. Default `127.0.0.1`. */
  readonly address?: string
  /** 0 (default) picks a port that is free for both UDP and TCP. */
  readonly port?: number
  readonly zones: readonly LabZone[]
  readonly faults?: readonly LabDnsFaultAt[]
  /** Answer CNAMEs with their targets when we hold them, as a resolver would. Default true. */
  readonly followCname?: boolean
}

/** Queries seen since the start. */
export interface LabDnsCounters {
  udp: number
  tcp: number
  /** By `name TYPE`, name in lower case; the first hundred thousand. */
  readonly byQuestion: Map<string, number>
}

/** A running lab DNS server. */
export interface LabDns extends AsyncDisposable {
  readonly address: string
  readonly port: number
  readonly counters: LabDnsCounters
  /** Replaces all records of this name and type, live; an empty list removes them. */
  setRecords<T extends LabRecordType>(
    name: string,
    type: T,
    data: readonly LabRecordData[T][],
    ttlSeconds?: number,
  ): void
  /** Sets or (with null) clears the fault of a name, `*` for all names; without type for all types. */
  setFault(name: string, fault: LabDnsFault | null, type?: string): void
  /** Queries seen for this name and type, over UDP and TCP together; 0 for names beyond the bound. */
  countOf(name: string, type: string): number
  /** Closes both sockets and open TCP connections; pending slow answers are forgotten. */
  close(): Promise<void>
}

/** Starts a lab DNS server and returns when both sockets listen. */
export async function startLabDns(options: LabDnsOptions): Promise<LabDns> {
  const address = options.address ?? '127.0.0.1'
  const { udp, tcp, port } = await bindBoth(address, options.port ?? 0)
  return new LabDnsServer(options, address, port, udp, tcp)
}

/** With port 0 the kernel picks the UDP port; TCP may have it in use already, so try again with another. */
async function bindBoth(
  address: string,
  wantedPort: number,
): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    const tcp = createServer({ noDelay: true })
    try {
      udp.bind(wantedPort, address)
      await once(udp, 'listening')
      const port = udp.address().port
      tcp.listen(port, address)
      await once(tcp, 'listening')
      return { udp, tcp, port }
    } catch (error) {
      udp.close()
      if (wantedPort !== 0 || attempt >= bindAttempts) throw error
    }
  }
}

class LabDnsServer implements LabDns {
  readonly address: string
  readonly port: number
  readonly counters: LabDnsCounters = { udp: 0, tcp: 0, byQuestion: new Map() }
  readonly #zones: ZoneBook
  readonly #followCname: boolean
  readonly #faults = new Map<string, LabDnsFault>()
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections = new Set<Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #closing: Promise<void> | undefined

  constructor(options: LabDnsOptions, address: string, port: number, udp: UdpSocket, tcp: Server) {
    this.address = address
    this.port = port
    this.#zones = new ZoneBook(options.zones)
    this.#followCname = options.followCname ?? true
    for (const { name, type, fault } of options.faults ?? []) this.setFault(name, fault, type)
    this.#udp = udp
    this.#tcp = tcp
    udp.on('message', (query, from) => this.#onDatagram(query, from))
    udp.on('error', () => undefined)
    tcp.on('connection', socket => this.#onConnection(socket))
    tcp.on('error', () => undefined)
  }

  setRecords<T extends LabRecordType>(
    name: string,
    type: T,
    data: readonly LabRecordData[T][],
    ttlSeconds?: number,
  ): void {
    this.#zones.set(name, type, data, ttlSeconds)
  }

  setFault(name: string, fault: LabDnsFault | null, type?: string): void {
    const key = `${labName(name)} ${type ?? '*'}`
    if (fault === null) this.#faults.delete(key)
    else this.#faults.set(key, fault)
  }

  countOf(name: string, type: string): number {
    return this.counters.byQuestion.get(`${labName(name)} ${type}`) ?? 0
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    for (const socket of this.#connections) socket.destroy()
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')]
    this.#udp.close()
    this.#tcp.close()
    await Promise.all(closed)
  }

  #answer(query: Buffer, overTcp: boolean): LabReply | undefined {
    const faultAt = (name: string, type: string): LabDnsFault | undefined =>
      this.#faults.get(`${name} ${type}`) ??
      this.#faults.get(`${name} *`) ??
      this.#faults.get(`* ${type}`) ??
      this.#faults.get('* *')
    const reply = respond({ zones: this.#zones, followCname: this.#followCname, faultAt }, query, overTcp)
    if (overTcp) this.counters.tcp++
    else this.counters.udp++
    if (reply !== undefined) {
      const key = `${reply.name} ${reply.type}`
      const { byQuestion } = this.counters
      if (byQuestion.has(key) || byQuestion.size < questionsMax)
        byQuestion.set(key, (byQuestion.get(key) ?? 0) + 1)
    }
    return reply
  }

  #onDatagram(query: Buffer, from: RemoteInfo): void {
    const reply = this.#answer(query, false)
    if (reply === undefined) return
    this.#later(reply.delayMs, () => {
      for (const message of reply.messages) this.#udp.send(message, from.port, from.address, () => undefined)
    })
  }

  #onConnection(socket: Socket): void {
    this.#connections.add(socket)
    let pending: Buffer = Buffer.alloc(0)
    socket.setTimeout(tcpIdleMs, () => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('close', () => this.#connections.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0)
        this.#onStreamQuery(socket, pending.subarray(2, end))
        pending = pending.subarray(end)
      }
    })
  }

  #onStreamQuery(socket: Socket, query: Buffer): void {
    const reply = this.#answer(query, true)
    if (reply === undefined) {
      socket.destroy()
      return
    }
    this.#later(reply.delayMs, () => {
      for (const message of reply.messages) {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(message.length)
        if (!socket.destroyed) socket.write(Buffer.concat([length, message]))
      }
    })
  }

  #later(delayMs: number, run: () => void): void {
    if (delayMs === 0) {
      run()
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (this.#closing === undefined) run()
    }, delayMs)
    timer.unref()
    this.#timers.add(timer)
  }
}
