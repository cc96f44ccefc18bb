// The store thread's loop: drains all ports into one group, commits it, answers. No timers.
//
// While a commit waits for the disk, requests of all threads pile up in their ports; the next group takes them all. That
// makes groups as large as the load needs and no larger.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { PackWriter } from '../../base/index.ts'
import { packError } from '../errors.ts'
import type { ControlCalls } from './control-calls.ts'
import type { ControlAnswer, ControlCall } from './control-codec.ts'
import type { GroupCommitter } from './group.ts'
import { type Reply, writeReply, writeReplyEnd } from './reply-codec.ts'
import { type Request, readRequests } from './request-codec.ts'

/** Packets in one group at most: bounds how long the first waits for the last. */
const packetsMax = 256
const replyBytes = 4096

type Incoming = ArrayBuffer | ControlCall

export class StoreService {
  readonly #group: GroupCommitter
  readonly #calls: ControlCalls
  readonly #ports = new Set<MessagePort>()

  constructor(group: GroupCommitter, calls: ControlCalls) {
    this.#group = group
    this.#calls = calls
  }

  /** Serves a thread through this port until it is closed. */
  attach(port: MessagePort): void {
    this.#ports.add(port)
    port.on('message', (message: Incoming) => this.#serve(port, message))
    port.on('close', () => this.#ports.delete(port))
  }

  /** Stops serving. */
  close(): void {
    for (const port of this.#ports) port.close()
    this.#ports.clear()
  }

  #serve(firstPort: MessagePort, first: Incoming): void {
    const requests: Request[] = []
    const sources: { port: MessagePort; until: number }[] = []
    const calls: { port: MessagePort; call: ControlCall }[] = []
    let packets = 0
    const take = (port: MessagePort, message: Incoming): void => {
      packets++
      if (!(message instanceof ArrayBuffer)) {
        calls.push({ port, call: message })
        return
      }
      for (const request of readRequests(message)) requests.push(request)
      sources.push({ port, until: requests.length })
    }
    take(firstPort, first)
    for (const port of this.#ports) {
      while (packets < packetsMax) {
        const next = receiveMessageOnPort(port) as { message: Incoming } | undefined
        if (next === undefined) break
        take(port, next.message)
      }
    }
    if (requests.length > 0) this.#answer(this.#group.run(requests), sources)
    for (const { port, call } of calls) port.postMessage(this.#call(call))
  }

  #answer(
    replies: readonly (Reply | null)[],
    sources: readonly { port: MessagePort; until: number }[],
  ): void {
    const packets = new Map<MessagePort, PackWriter>()
    let at = 0
    for (const { port, until } of sources) {
      let packet = packets.get(port)
      for (; at < until; at++) {
        const reply = replies[at]!
        if (reply === null) continue
        if (packet === undefined) {
          packet = new PackWriter(replyBytes)
          packets.set(port, packet)
        }
        writeReply(packet, reply)
      }
    }
    for (const [port, packet] of packets) {
      writeReplyEnd(packet)
      const bytes = packet.view().buffer as ArrayBuffer
      port.postMessage(bytes, [bytes])
    }
  }

  #call(call: ControlCall): ControlAnswer {
    try {
      return { id: call.id, value: this.#calls.run(call.name, call.args), error: null }
    } catch (error) {
      return { id: call.id, value: null, error: packError(error) }
    }
  }
}
