// A relay thread's line to its signing thread: where one relay thread carries all sessions, RSA must not stop it.
//
// Place on the path: behind SignatureMaker, once a message. What comes during a turn of the event loop goes as one packet;
// while two packets are under way it is gathered further, so that a wake-up is shared by the messages of many sessions.
// The thread starts with the first signature. Its end is the end of the relay thread: what waits for a signature is
// refused for now (4xx), never sent unsigned.

import { setImmediate } from 'node:timers'
import { Worker } from 'node:worker_threads'
import type { SignatureJob } from '../../protocol/auth/dkim/index.ts'
import { readSignatures, type Signature, SigningPacketWriter } from './codec.ts'

/** Two keep the signing thread busy while the answers to one are on their way. */
const packetsUnderWayMax = 2
/** A packet is answered whole: the first of its messages waits for the last. 16 jobs take about 2.5 ms. */
const packetJobsMax = 16

/** The signing thread's heap: hardly anything of a packet outlives it. */
const youngGenerationMb = 4

/** What one message waits for. */
interface Waiting {
  readonly jobs: readonly SignatureJob[]
  readonly resolve: (signatures: readonly Buffer[]) => void
  readonly reject: (error: Error) => void
}

export class SigningLine implements AsyncDisposable {
  readonly #onFatal: (error: Error) => void
  readonly #startThread: () => Worker
  #worker: Worker | null = null
  #waiting: Waiting[] = []
  /** Packets without an answer, oldest first: answers come in that order. */
  readonly #underWay: Waiting[][] = []
  #isFlushSet = false
  #ended: Error | null = null

  /** @param onFatal the thread ended on its own: this relay thread cannot sign any more */
  constructor(onFatal: (error: Error) => void, startThread: () => Worker = startSigningThread) {
    this.#onFatal = onFatal
    this.#startThread = startThread
  }

  /** The signatures of one message, in the order of its jobs; rejects when one cannot be made. */
  readonly sign = (jobs: readonly SignatureJob[]): Promise<readonly Buffer[]> => {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ jobs, resolve, reject })
      this.#flushSoon()
    })
  }

  /** Ends the thread; what waits is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new Error('the relay is closing'))
    await this.#worker?.terminate()
  }

  /** At the end of the turn: all sockets that have something have been read by then. */
  #flushSoon(): void {
    if (this.#isFlushSet || this.#underWay.length >= packetsUnderWayMax) return
    this.#isFlushSet = true
    setImmediate(() => {
      this.#isFlushSet = false
      while (this.#waiting.length > 0 && this.#underWay.length < packetsUnderWayMax) this.#flush()
    })
  }

  #flush(): void {
    const packet = new SigningPacketWriter()
    let taken = 0
    for (const { jobs } of this.#waiting) {
      if (packet.jobs >= packetJobsMax) break
      for (const job of jobs) packet.add(job)
      taken++
    }
    this.#underWay.push(this.#waiting.slice(0, taken))
    this.#waiting = this.#waiting.slice(taken)
    const message = packet.finish()
    this.#worker ??= this.#start()
    this.#worker.postMessage(message, [message.jobs])
  }

  #start(): Worker {
    const worker = this.#startThread()
    worker.on('message', (answers: ArrayBuffer) => this.#onAnswers(answers))
    const ended = (error: Error): void => {
      if (this.#ended !== null) return
      this.#end(error)
      this.#onFatal(error)
    }
    worker.on('error', error => ended(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', () => ended(new Error('the signing thread ended')))
    return worker
  }

  #onAnswers(answers: ArrayBuffer): void {
    const signatures = readSignatures(answers)
    for (const waiting of this.#underWay.shift() ?? []) settle(waiting, signatures)
    if (this.#waiting.length > 0) this.#flushSoon()
  }

  #end(error: Error): void {
    this.#ended ??= error
    const all = [...this.#underWay.splice(0).flat(), ...this.#waiting.splice(0)]
    for (const { reject } of all) reject(this.#ended)
  }
}

function settle({ jobs, resolve, reject }: Waiting, answers: Iterator<Signature>): void {
  const signatures: Buffer[] = []
  let failure: Error | null = null
  // All answers of a message are taken, failed or not: the next message's follow.
  for (const _ of jobs) {
    const answer = answers.next().value as Signature
    if (answer instanceof Error) failure = answer
    else signatures.push(answer)
  }
  if (failure === null) resolve(signatures)
  else reject(failure)
}

function startSigningThread(): Worker {
  return new Worker(new URL(threadFile(import.meta.url), import.meta.url), {
    name: 'signing',
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
  })
}

/** The compiled package has `.js` files, the repository `.ts`. */
function threadFile(ownUrl: string): string {
  return ownUrl.endsWith('.ts') ? './thread.ts' : './thread.js'
}
