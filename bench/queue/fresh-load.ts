/** Fresh mail beside the queue: to the one receiver that is up, at an even rate. Message numbers are never used twice. */
import { setTimeout as delay } from 'node:timers/promises'
import type { GeneratorProcess, SinkProcess } from '../traffic/index.ts'

/** Where it is handed in. */
export interface Door {
  readonly port: number
}

export class FreshLoad {
  readonly #generator: GeneratorProcess
  readonly #sink: SinkProcess
  #next = 0
  #arrived = 0

  constructor(generator: GeneratorProcess, sink: SinkProcess) {
    this.#generator = generator
    this.#sink = sink
  }

  /** p99 from accepted to delivered, milliseconds. */
  async run(door: Door, ratePerSecond: number, seconds: number): Promise<number> {
    const messages = ratePerSecond * seconds
    const firstMessage = this.#next
    this.#next += messages
    const sent = await this.#send(door, { firstMessage, messages, ratePerSecond, sessions: 20 })
    this.#arrived += messages
    await this.#sink.call('waitFor', this.#arrived)
    const arrivals = await this.#sink.call('arrivals')
    const tookMs = sent.acceptedMs
      .map((at, index) => Math.max(0, (arrivals[firstMessage + index] ?? 0) - at))
      .sort()
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
        await delay(20)
      }
    }
    this.#arrived++
    return await this.#sink.call('waitFor', this.#arrived)
  }

  #send(
    { port }: Door,
    load: { firstMessage: number; messages: number; ratePerSecond: number | null; sessions: number },
  ) {
    return this.#generator.call('run', {
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
