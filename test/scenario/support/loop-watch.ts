// Inputs for a server whose event loops and memory are watched: how late they were while it worked on one, whether
// that was the machine, and what it took.
//
// Each thread of the server notes when its loop was late (late-loops.ts); what the machine did at just that time is taken
// off (held-loops.ts). Where the machine was busy an input that fails is tried again, three times in all; on a quiet one
// it has one try. loop-watch.test.ts shows that all this can fail.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryPeak } from '../../support/memory-peak.ts'
import { queuedId } from './client.ts'
import { CpuWaits } from './cpu-waits.ts'
import { DelayProbe, idleThread } from './delay-probe.ts'
import { describeHeld, longestHeld } from './held-loops.ts'
import { type Login, message, type ShownEvent, waitForEvents } from './house.ts'
import { type LateNote, lateLoopsVariable } from './late-loops.ts'
import type { Receiver } from './receiver.ts'
import { Siege } from './siege.ts'

export const heldMsMaxOfMost = 200
/** What any of them may take of memory for a moment: five times as much as the largest content. */
const growthMax = 128 * 1024 * 1024
export const triesMax = 3
/** Where neither is passed in a whole try, the machine is no reason for another one. */
const quiet = { idleMs: 50, waitedMs: 100 } as const

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

export const delayMetric = 'postrider_event_loop_delay_seconds'

const final = new Set(['delivered', 'deferred', 'bounced', 'expired'])

export class LoopWatch implements AsyncDisposable {
  readonly siege: Siege
  readonly #folder: string
  readonly #probe: DelayProbe
  readonly #waits: CpuWaits
  readonly #receivers: readonly Receiver[]
  #count = 0

  private constructor(siege: Siege, folder: string, probe: DelayProbe, receivers: readonly Receiver[]) {
    this.siege = siege
    this.#folder = folder
    this.#probe = probe
    this.#waits = new CpuWaits(siege.house.server.processId)
    this.#receivers = [siege.receiver, ...receivers]
  }

  /** @param receivers what they take is forgotten after each input */
  static async open(toml: readonly string[], receivers: readonly Receiver[]): Promise<LoopWatch> {
    const folder = mkdtempSync(join(tmpdir(), 'late-loops-'))
    const path = notesPath(folder)
    const probe = new DelayProbe(path)
    const loaded = `--import=${new URL('late-loops.ts', import.meta.url)}`
    const siege = await Siege.open({
      toml: ['[retry]\nschedule = ["1h"]', ...toml].join('\n'),
      env: { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} ${loaded}`, [lateLoopsVariable]: path },
    })
    return new LoopWatch(siege, folder, probe, receivers)
  }

  /** Brings an input, and fails when a loop was held for longer, or too much memory was taken. */
  async bring(t: TestContext, work: Work, heldMsMax: number): Promise<void> {
    const seen: string[] = []
    for (let tries = 1; tries <= triesMax; tries++) {
      writeFileSync(notesPath(this.#folder), '')
      this.#waits.takeMs()
      const memory = new MemoryPeak(this.siege.house.server.processId)
      await work(++this.#count, tries)
      const { growthBytes } = memory
      const grown = `${Math.round(growthBytes / 1024 / 1024)} MiB more`
      assert.ok(growthBytes <= growthMax, grown)
      // What was late is noted when the loop comes round next: all of them do for a scrape.
      await this.siege.metric(delayMetric)
      await sleep(50)
      const notes = this.#notes()
      const waitedMs = this.#waits.takeMs()
      const idleMs = Math.max(0, ...notes.filter(one => one.thread === idleThread).map(one => one.lateMs))
      for (const receiver of this.#receivers) receiver.messages.length = 0
      const held = longestHeld(notes)
      seen.push(
        `${describeHeld(held)}, in all: an idle thread ${Math.round(idleMs)} ms, waited for a core ${Math.round(waitedMs)} ms, ${grown}`,
      )
      if (held === null || held.heldMs <= heldMsMax) {
        t.diagnostic(seen.join('; '))
        return
      }
      if (idleMs <= quiet.idleMs && waitedMs <= quiet.waitedMs) break
    }
    assert.fail(`held a loop: ${seen.join('; ')}`)
  }

  #notes(): LateNote[] {
    const lines = readFileSync(notesPath(this.#folder), 'utf8').split('\n')
    return lines.filter(line => line !== '').map(line => JSON.parse(line) as LateNote)
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
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function notesPath(folder: string): string {
  return join(folder, 'notes')
}
