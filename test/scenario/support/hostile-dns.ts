// A DNS server that answers as told: with any records or bytes, without end, or with a flood that answers nothing.
//
// Over UDP it says that the answer is too long where it is, so that it is asked again over TCP. Loopback only.

import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import packet, { type Answer } from 'dns-packet'
import { freePort } from '../../support/postrider.ts'

/** Records, or a message made from the bytes of one that has the question alone, or what no message is. */
export type DnsAnswer = readonly Answer[] | ((withQuestion: Buffer) => Buffer) | 'endless' | 'flood'

/** A DNS server that answers as told, over UDP (truncated when too long) and TCP. */
export class HostileDns implements AsyncDisposable {
  readonly #answersTo: (name: string, type: string) => DnsAnswer
  readonly questions: string[] = []
  readonly #udp: Datagrams = createSocket('udp4')
  readonly #tcp: Server = createServer(socket => this.#converse(socket))
  readonly #sockets = new Set<Socket>()

  private constructor(answersTo: (name: string, type: string) => DnsAnswer) {
    this.#answersTo = answersTo
  }

  static async start(answersTo: (name: string, type: string) => DnsAnswer): Promise<HostileDns> {
    const server = new HostileDns(answersTo)
    const port = await freePort()
    server.#tcp.listen(port, '127.0.0.1')
    await once(server.#tcp, 'listening')
    server.#udp.on('message', (query, from) => {
      const reply = server.#reply(query, false)
      if (reply instanceof Buffer) server.#udp.send(reply, from.port, from.address)
    })
    server.#udp.bind(port, '127.0.0.1')
    await once(server.#udp, 'listening')
    return server
  }

  get port(): number {
    return (this.#tcp.address() as AddressInfo).port
  }

  #reply(query: Buffer, isTcp: boolean): Buffer | 'endless' | 'flood' {
    const asked = packet.decode(query)
    const question = asked.questions![0]!
    const name = question.name.toLowerCase()
    this.questions.push(`${question.type} ${name}`)
    const answers = this.#answersTo(name, question.type)
    const id = asked.id ?? 0
    const common = { type: 'response' as const, id, questions: [question] }
    const isOdd = typeof answers === 'string'
    const whole = isOdd
      ? null
      : typeof answers === 'function'
        ? answers(packet.encode(common))
        : packet.encode({ ...common, answers: [...answers] })
    if (!isTcp && (whole === null || whole.length > 1232))
      return packet.encode({ ...common, flags: packet.TRUNCATED_RESPONSE, answers: [] })
    return whole ?? (answers as 'endless' | 'flood')
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.once('data', chunk => {
      const reply = this.#reply((chunk as Buffer).subarray(2), true)
      if (reply instanceof Buffer) {
        const head = Buffer.alloc(2)
        head.writeUInt16BE(reply.length)
        socket.write(Buffer.concat([head, reply]))
      } else if (reply === 'endless') void this.#endless(socket)
      else void this.#flood(socket)
    })
  }

  /** Announces 64 KiB and sends one byte now and then. */
  async #endless(socket: Socket): Promise<void> {
    socket.write(Buffer.from([0xff, 0xff]))
    while (!socket.destroyed) {
      socket.write(Buffer.from([0]))
      await sleep(200)
    }
  }

  /** Messages of 64 KiB that answer nothing, as fast as they are taken. */
  async #flood(socket: Socket): Promise<void> {
    const block = Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(65_535)])
    while (!socket.destroyed)
      if (!socket.write(block))
        await Promise.race([new Promise(done => socket.once('drain', done)), sleep(500)])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#udp.close()
    this.#tcp.close()
  }
}
