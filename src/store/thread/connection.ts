// A thread's line to the store thread: gathers what is asked during one turn of the event loop into one packet.
//
// Requests are written straight into a growing buffer that is transferred whole (setImmediate: after all sockets of the
// turn have been read, so a packet holds many messages). Accepts beyond `inFlightBytesMax` wait here, in order, so that
// memory stays bounded when the disk is slow; settlements never wait, because they free space. When the line ends, from
// here or since the store thread is gone, everything without an answer gets one: nobody waits for a dead thread.

import { setImmediate } from 'node:timers'
import type { MessagePort } from 'node:worker_threads'
import { PackWriter } from '../../base/index.ts'
import { StoreError, unpackError } from '../errors.ts'
import type { ControlAnswer, ControlCall } from './control-codec.ts'
import { type Reply, readReplies } from './reply-codec.ts'
import { requestKinds } from './request-codec.ts'

/** Bytes of accepts under way to the store thread; beyond them accepts wait in their own thread. */
const inFlightBytesMax = 32 * 1024 * 1024
const packetBytesMin = 16 * 1024
/** A packet begins no larger: after a burst the next ones would all take what the burst took. */
const packetBytesMax = 128 * 1024
/**
 * Packets that may be without an answer; what comes meanwhile is gathered. Two keep the store thread busy while one is on
 * its way back; more would only make smaller groups, and each packet costs a wake-up on both sides.
 */
const packetsUnderWayMax = 2

/** What waits for an answer. */
interface Pending {
  readonly sizeBytes: number
  readonly onReply: (reply: Reply) => void
}

interface Waiting {
  readonly start: () => void
  readonly onReply: (reply: Reply) => void
}

/** Writes a request into the packet under its number. */
export type WriteRequest = (to: PackWriter, scratch: PackWriter, requestId: number) => void

export class StoreConnection {
  readonly #port: MessagePort
  readonly #pending = new Map<number, Pending>()
  readonly #calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  readonly #scratch = new PackWriter(512)
  readonly #waiting: Waiting[] = []
  #packet: PackWriter | null = null
  #packetBytes = packetBytesMin
  #inFlightBytes = 0
  #lastId = 0
  #isClosed = false
  /** The last request of each packet under way, oldest first. */
  readonly #underWay: number[] = []
  /** The last request of the open packet that has an answer; 0 for none. */
  #lastAsked = 0

  constructor(port: MessagePort) {
    this.#port = port
    port.on('message', (message: ArrayBuffer | ControlAnswer) => {
      if (message instanceof ArrayBuffer) this.#onPacket(message)
      else this.#onAnswer(message)
    })
    port.on('close', () => this.#end('the store thread is gone'))
  }

  /** True while accepts have to wait: the door should take no new message. */
  get isSaturated(): boolean {
    return this.#waiting.length > 0 || this.#inFlightBytes >= inFlightBytesMax
  }

  /** Sends a request that has an answer. Throws when the line is closed, or what `write` threw: then nothing was asked. */
  request(write: WriteRequest, onReply: (reply: Reply) => void, sizeBytes: number = 0): void {
    if (this.#isClosed) throw new StoreError('PR_STORE_CLOSED', 'the store is closed')
    const id = this.#nextId()
    this.#write(write, id)
    this.#lastAsked = id
    this.#pending.set(id, { sizeBytes, onReply })
    this.#inFlightBytes += sizeBytes
  }

  /**
   * Like {@link request}, but waits its turn while too much is under way, and never throws: a closed line is an answer, too,
   * and so is what `write` threw.
   */
  requestInTurn(write: WriteRequest, onReply: (reply: Reply) => void, sizeBytes: number): void {
    if (this.#isClosed) {
      onReply({ kind: 'broken', id: 0, why: 'the store is closed', isPassing: false })
      return
    }
    const start = (): void => {
      try {
        this.request(write, onReply, sizeBytes)
      } catch (error) {
        onReply({ kind: 'broken', id: 0, why: String(error), isPassing: false })
      }
    }
    if (this.isSaturated) this.#waiting.push({ start, onReply })
    else start()
  }

  /** Sends something that has no answer. */
  tell(write: (to: PackWriter) => void): void {
    if (!this.#isClosed) this.#write(write, 0)
  }

  /**
   * A control-plane call: its arguments are cloned, its failure is a StoreError. Keeps its
   * place behind what was asked before.
   */
  call(name: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new StoreError('PR_STORE_CLOSED', 'the store is closed'))
    this.flush()
    const call: ControlCall = { id: this.#nextId(), name, args }
    return new Promise((resolve, reject) => {
      this.#calls.set(call.id, { resolve, reject })
      this.#port.postMessage(call)
    })
  }

  /** Sends the packet now instead of at the end of the turn. */
  flush(): void {
    const packet = this.#packet
    if (packet === null || this.#isClosed) return
    this.#packet = null
    packet.u8(requestKinds.end)
    if (this.#lastAsked !== 0) this.#underWay.push(this.#lastAsked)
    this.#lastAsked = 0
    // Follows the load: a quiet thread sends small buffers, a busy one does not grow each anew.
    const expectedBytes = Math.ceil((this.#packetBytes + packet.sizeBytes * 1.5) / 2)
    this.#packetBytes = Math.min(packetBytesMax, Math.max(packetBytesMin, expectedBytes))
    const bytes = packet.view().buffer as ArrayBuffer
    this.#port.postMessage(bytes, [bytes])
  }

  /** Closes the line. What still waits for an answer fails. */
  close(): void {
    if (this.#isClosed) return
    this.flush()
    this.#port.close()
    this.#end('the store is closed')
  }

  #end(why: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const pending = [...this.#pending.values(), ...this.#waiting.splice(0)]
    this.#pending.clear()
    for (const { onReply } of pending) onReply({ kind: 'broken', id: 0, why, isPassing: false })
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.reject(new StoreError('PR_STORE_CLOSED', why))
  }

  #nextId(): number {
    this.#lastId = (this.#lastId + 1) >>> 0
    return this.#lastId
  }

  /** All of it or nothing: what was not written whole has no answer, and half of it would spoil the packet. */
  #write(write: WriteRequest, id: number): void {
    const packet = this.#open()
    const before = packet.sizeBytes
    try {
      write(packet, this.#scratch, id)
    } catch (error) {
      packet.cutBack(before)
      throw error
    }
  }

  #open(): PackWriter {
    if (this.#packet === null) {
      this.#packet = new PackWriter(this.#packetBytes)
      setImmediate(() => this.#flushInTurn())
    }
    return this.#packet
  }

  #flushInTurn(): void {
    if (this.#underWay.length < packetsUnderWayMax) this.flush()
  }

  #onPacket(packet: ArrayBuffer): void {
    const replies = readReplies(packet)
    // A thousand leased ones are much to do: who waits for its accept goes first.
    for (const reply of replies) if (reply.kind !== 'leased') this.#take(reply)
    for (const reply of replies) if (reply.kind === 'leased') this.#take(reply)
    while (this.#underWay.length > 0 && !this.#pending.has(this.#underWay[0]!)) this.#underWay.shift()
    while (this.#waiting.length > 0 && this.#inFlightBytes < inFlightBytesMax) this.#waiting.shift()!.start()
    // What the answers made (settlements, next messages) is still to come in this turn: it goes along.
    if (this.#packet !== null) setImmediate(() => this.#flushInTurn())
  }

  #take(reply: Reply): void {
    const pending = this.#pending.get(reply.id)
    if (pending === undefined) return
    this.#pending.delete(reply.id)
    this.#inFlightBytes -= pending.sizeBytes
    pending.onReply(reply)
  }

  #onAnswer(answer: ControlAnswer): void {
    const call = this.#calls.get(answer.id)
    if (call === undefined) return
    this.#calls.delete(answer.id)
    if (answer.error === null) call.resolve(answer.value)
    else call.reject(unpackError(answer.error))
  }
}
