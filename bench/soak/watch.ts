/**
 * What the soak looks at every ten seconds: memory, event loops, queue, files, and which thread the log calls late. One
 * line of JSON each, in the order of time.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Postrider } from '../../test/support/postrider.ts'
import { residentMib, scrape } from '../scale/server.ts'

/** A line `loop.late` of the server's log. */
export interface LateTurn {
  readonly thread: string
  readonly lateMs: number
  /** What of it the thread computed: the rest it waited, for a core, the disk or the machine. */
  readonly cpuMs: number
}

export interface SoakSample {
  readonly seconds: number
  readonly residentMib: number
  readonly heapMib: number
  readonly externalMib: number
  /** The latest turn of any event loop since the sample before, milliseconds. */
  readonly loopDelayMs: number
  /** Turns late by 200 ms and more since the sample before, of any thread. */
  readonly lateTurns: readonly LateTurn[]
  readonly acceptedPerSecond: number
  readonly queued: number
  readonly ready: number
  readonly connections: number
  readonly files: number
  readonly databaseMib: number
  readonly walMib: number
  /** Processes that want a core, over a minute: what else the machine does. */
  readonly machineLoad: number
}

const mib = 1024 * 1024

/** Samples until it is stopped. */
export class SoakWatch {
  readonly samples: SoakSample[] = []
  /** Scrapes that failed or lacked a value; why is in the file. */
  failures = 0
  readonly #program: Postrider
  readonly #startedMs = performance.now()
  readonly #file: WriteStream
  readonly #timer: NodeJS.Timeout
  #accepted = 0
  /** How much of the server's output was read. */
  #readCharacters: number
  #atMs = performance.now()
  #running: Promise<void> = Promise.resolve()

  constructor(program: Postrider, path: string, everyMs = 10_000) {
    this.#program = program
    this.#readCharacters = program.output.length
    this.#file = createWriteStream(path)
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.#sample())
    }, everyMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
    this.#file.end()
  }

  /** What the log says of late turns in whole lines that came since it was read last. */
  #lateTurns(): LateTurn[] {
    const { output } = this.#program
    const end = output.lastIndexOf('\n') + 1
    const lines = output.slice(this.#readCharacters, end).split('\n')
    this.#readCharacters = Math.max(end, this.#readCharacters)
    return lines
      .map(line => (line.includes('"loop.late"') ? parsed(line) : null))
      .filter(one => one !== null)
      .map(({ thread, lateMs, cpuMs }) => ({
        thread: String(thread),
        lateMs: Number(lateMs),
        cpuMs: Number(cpuMs),
      }))
  }

  async #sample(): Promise<void> {
    try {
      const values = await scrape(this.#program)
      const value = (name: string): number => {
        const found = values.get(name)
        if (found === undefined) throw new Error(`${name} is missing`)
        return found
      }
      const atMs = performance.now()
      const accepted = value('postrider_messages_accepted_total{door="smtp"}')
      const pid = this.#program.processId
      const sample: SoakSample = {
        seconds: Math.round((atMs - this.#startedMs) / 1000),
        residentMib: residentMib(pid),
        heapMib: value('postrider_memory_bytes{kind="heap"}') / mib,
        externalMib: value('postrider_memory_bytes{kind="external"}') / mib,
        loopDelayMs: value('postrider_event_loop_delay_seconds{quantile="1"}') * 1000,
        lateTurns: this.#lateTurns(),
        acceptedPerSecond: ((accepted - this.#accepted) / (atMs - this.#atMs)) * 1000,
        queued: value('postrider_queue_recipients{state="scheduled"}'),
        ready: value('postrider_ready_queue_recipients'),
        connections: value('postrider_connections_open'),
        files: (await readdir(`/proc/${pid}/fd`)).length,
        databaseMib: await sizeMib(join(this.#program.dataDir, 'postrider.db')),
        walMib: await sizeMib(join(this.#program.dataDir, 'postrider.db-wal')),
        machineLoad: await machineLoad(),
      }
      this.#accepted = accepted
      this.#atMs = atMs
      this.samples.push(sample)
      this.#file.write(`${JSON.stringify(sample)}\n`)
    } catch (error) {
      this.failures++
      this.#file.write(`${JSON.stringify({ failed: String(error) })}\n`)
    }
  }
}

function parsed(line: string): Readonly<Record<string, unknown>> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return null
  }
}

async function sizeMib(path: string): Promise<number> {
  return ((await stat(path).catch(() => null))?.size ?? 0) / mib
}

async function machineLoad(): Promise<number> {
  const { loadavg } = await import('node:os')
  return loadavg()[0] ?? 0
}
