// Inputs for a server whose event loops and memory are watched: how late they were while it worked on one, whether
// that was the machine, and what it took.
//
// The server itself says how late its loops were, the worst of its threads. A busy machine makes every loop late: what
// an idle thread of this machine sees meanwhile, or what a thread of the server had to wait for a core, is taken off
// then, and an input is tried again, three times in all. On a quiet machine nothing is taken off and it has one try.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryPeak } from '../../support/memory-peak.ts'
import { queuedId } from './client.ts'
import { CpuWaits } from './cpu-waits.ts'
import { DelayProbe } from './delay-probe.ts'
import { type Login, message, type ShownEvent, waitForEvents } from './house.ts'
import type { Receiver } from './receiver.ts'
import { Siege } from './siege.ts'

export const heldMsMaxOfMost = 200
/** What any of them may take of memory for a moment: five times as much as the largest content. */
const growthMax = 128 * 1024 * 1024
export const triesMax = 3
/** Where neither is passed, it is not the machine that made a loop late. */
const quiet = { probeMs: 50, waitedMs: 100 } as const

/**
 * Brings an input once more, and resolves when the server is done with it. Is told how often
 * anything was brought, and this.
 */
export type Work = (times: number, tries: number) => Promise<unknown>

export type Fate = 'refused' | 'delivered' | 'deferred' | 'bounced'

export interface Submission {
  readonly parts: Iterable<string | Buffer>
  readonly to?: string
  readonly sender?: string
  readonly login?: Login
  /** What becomes of it; delivered by default. */
  readonly fate?: Fate
}

const final = new Set(['delivered', 'deferred', 'bounced', 'expired'])

export class LoopWatch implements AsyncDisposable {
  readonly siege: Siege
  readonly #probe: DelayProbe
  readonly #waits: CpuWaits
  readonly #receivers: readonly Receiver[]
  #count = 0

  private constructor(siege: Siege, probe: DelayProbe, receivers: readonly Receiver[]) {
    this.siege = siege
    this.#probe = probe
    this.#waits = new CpuWaits(siege.house.server.processId)
    this.#receivers = [siege.receiver, ...receivers]
  }

  /** @param receivers what they take is forgotten after each input */
  static async open(toml: readonly string[], receivers: readonly Receiver[]): Promise<LoopWatch> {
    const probe = new DelayProbe()
    const siege = await Siege.open({ toml: ['[retry]\nschedule = ["1h"]', ...toml].join('\n') })
    return new LoopWatch(siege, probe, receivers)
  }

  /** Brings an input, and fails when a loop was held for longer, or too much memory was taken. */
  async bring(t: TestContext, work: Work, heldMsMax: number): Promise<void> {
    const seen: string[] = []
    for (let tries = 1; tries <= triesMax; tries++) {
      await this.#serverDelayMs()
      await this.#probe.takeMs()
      this.#waits.takeMs()
      const memory = new MemoryPeak(this.siege.house.server.processId)
      await work(++this.#count, tries)
      const { growthBytes } = memory
      const grown = `${Math.round(growthBytes / 1024 / 1024)} MiB more`
      assert.ok(growthBytes <= growthMax, grown)
      // What was late is noted when the loop comes round next.
      await sleep(50)
      const delayMs = await this.#serverDelayMs()
      const probeMs = await this.#probe.takeMs()
      const waitedMs = this.#waits.takeMs()
      for (const receiver of this.#receivers) receiver.messages.length = 0
      seen.push(
        `${Math.round(delayMs)} ms, an idle thread ${Math.round(probeMs)} ms, waited for a core ${Math.round(waitedMs)} ms, ${grown}`,
      )
      const isQuiet = probeMs <= quiet.probeMs && waitedMs <= quiet.waitedMs
      const machineMs = isQuiet ? 0 : Math.max(probeMs, waitedMs)
      if (delayMs - machineMs <= heldMsMax) {
        t.diagnostic(seen.join('; '))
        return
      }
      if (isQuiet) break
    }
    assert.fail(`late by ${seen.join('; ')}`)
  }

  /** How late the latest loop of the server was since the last look. */
  async #serverDelayMs(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.siege.house.server.httpPort}/metrics`)).text()
    const line = /^postrider_event_loop_delay_seconds\{quantile="1"\} (\S+)$/m.exec(text)
    return Number(line![1]) * 1000
  }

  /**
   * Sends a content of any make; resolves when its one recipient has an outcome, or it was refused.
   * @returns the text of the outcome or refusal
   */
  async submit({
    parts,
    to = 'bob@calm.example',
    login,
    sender,
    fate = 'delivered',
  }: Submission): Promise<string> {
    await using client = await this.siege.house.client(login)
    assert.equal((await client.command(`MAIL FROM:<${sender ?? 'ann@acme.example'}>`)).code, 250)
    assert.equal((await client.command(`RCPT TO:<${to}>`)).code, 250)
    assert.equal((await client.command('DATA')).code, 354)
    for (const part of parts) await client.writeAll(part)
    client.write('.\r\n')
    const reply = await client.reply()
    if (fate === 'refused') {
      assert.match(reply.text, /^55\d /)
      return reply.text
    }
    const id = queuedId(reply)
    const events = await this.outcomes(id, 1)
    const event = events.find(one => one.messageId === id && final.has(one.type))!
    const text = event.outcome?.text ?? ''
    assert.equal(event.type, fate, text)
    return text
  }

  /** All events, once so many recipients of the message have an outcome. */
  outcomes(id: string, wanted: number): Promise<ShownEvent[]> {
    return waitForEvents(
      this.siege.house.server,
      events => events.filter(one => one.messageId === id && final.has(one.type)).length >= wanted,
      120_000,
    )
  }

  /** Sends one small message to many in one write; resolves when each has an outcome. */
  async sendToMany(paths: readonly string[], parameters: string = ''): Promise<string> {
    await using client = await this.siege.house.client()
    assert.equal((await client.command(`MAIL FROM:<ann@acme.example>${parameters}`)).code, 250)
    client.write(paths.map(path => `RCPT TO:<${path}>\r\n`).join(''))
    for (const path of paths) assert.equal((await client.reply()).code, 250, path)
    assert.equal((await client.command('DATA')).code, 354)
    client.write(`${message()}\r\n.\r\n`)
    const id = queuedId(await client.reply())
    await this.outcomes(id, paths.length)
    return id
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.siege[Symbol.asyncDispose]()
    await this.#probe[Symbol.asyncDispose]()
  }
}
