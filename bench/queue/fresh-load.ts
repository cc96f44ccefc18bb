/**
 * Fresh mail beside the queue: to the one receiver that is up, at an even rate. Message numbers are never used twice, and
 * each message is waited for by its own: one that never comes fails the run, whatever came twice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type LoadOptions, type LoadOutcome, nowMs } from '../traffic/index.ts'

/** Where it is handed in. */
export interface Door {
  readonly port: number
}

/** What this needs of the generator and the sink. */
export interface FreshPorts {
  readonly send: (load: LoadOptions) => Promise<LoadOutcome>
  /** By message, 0 before. */
  readonly arrivals: () => Promise<Float64Array>
}

const patienceMs = 120_000
const lookEveryMs = 20

export class FreshLoad {
  readonly #ports: FreshPorts
  readonly #patienceMs: number
  #next = 0

  constructor(ports: FreshPorts, givesUpAfterMs: number = patienceMs) {
    this.#ports = ports
    this.#patienceMs = givesUpAfterMs
  }

  /** p99 from accepted to delivered, milliseconds. */
  async run(door: Door, ratePerSecond: number, seconds: number): Promise<number> {
    const messages = ratePerSecond * seconds
    const firstMessage = this.#next
    this.#next += messages
    const sent = await this.#send(door, { firstMessage, messages, ratePerSecond, sessions: 20 })
    const arrivals = await this.#untilAllCame(firstMessage, messages)
    // The sink may have a message before the client has read its 250.
    const tookMs = sent.acceptedMs.map((at, index) => Math.max(0, arrivals[index]! - at)).sort()
    return tookMs[Math.floor(messages * 0.99)] ?? Number.NaN
  }

  /** The time at which a message arrives that is sent as soon as the door opens. */
  async first(door: Door): Promise<number> {
    const firstMessage = this.#next++
    for (;;) {
      try {
        await this.#send(door, { firstMessage, messages: 1, ratePerSecond: null, sessions: 1 })
        break
      } catch {
        await delay(lookEveryMs)
      }
    }
    return (await this.#untilAllCame(firstMessage, 1))[0]!
  }

  async #untilAllCame(firstMessage: number, messages: number): Promise<Float64Array> {
    const endMs = nowMs() + this.#patienceMs
    for (;;) {
      const arrivals = (await this.#ports.arrivals()).subarray(firstMessage, firstMessage + messages)
      const missing = arrivals.reduce((sum, at) => sum + (at === 0 ? 1 : 0), messages - arrivals.length)
      if (missing === 0) return arrivals
      if (nowMs() > endMs)
        throw new Error(`${missing} of ${messages} fresh messages were accepted and never came`)
      await delay(lookEveryMs)
    }
  }

  #send(
    { port }: Door,
    load: Pick<LoadOptions, 'firstMessage' | 'messages' | 'ratePerSecond' | 'sessions'>,
  ): Promise<LoadOutcome> {
    return this.#ports.send({
      ...load,
      port,
      isTolerant: false,
      bodySizeBytes: 4096,
      recipientsPerMessage: 1,
      domains: 0,
      isKept: true,
      usesTls: false,
      login: null,
      sender: 'sender@example.com',
    })
  }
}
