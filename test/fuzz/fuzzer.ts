// The fuzzing loop: mutate an input that found something, run it, keep what runs code in a new way, report what fails.
//
// 1. Run seeds and corpus one by one; each that runs something new is kept.
// 2. Make inputs in batches of forty. After a batch ask what ran: nothing new, next batch; else run its inputs again one
//    by one and keep those that are new. One input of each batch is looked at alone in any case, for its counts.
// 3. An input that breaks an invariant, or is slow three times in a row, is a finding: made small, reported once a place.
// With the same seed, corpus and code the same inputs come in the same order, as long as V8 counts the same.

import { Random } from '../support/random.ts'
import { Coverage } from './coverage.ts'
import { minimise } from './minimise.ts'
import { lengthen, type MutationSource, mutate } from './mutate.ts'
import type { FuzzTarget } from './target.ts'

/** Something that must not be. */
export interface Finding {
  readonly kind: 'broken' | 'slow'
  readonly input: Buffer
  readonly message: string
}

export interface FuzzOptions {
  readonly seed: number
  readonly corpus: readonly Buffer[]
  /** Ends the loop when it says so; asked after each batch. */
  readonly isOver: (executions: number) => boolean
  /** Told before each input is run, for a watcher that outlives a hang. */
  readonly beforeRun?: (input: Buffer) => void
  /** False: mutation only, without the cost of asking for coverage. */
  readonly isGuided?: boolean
}

export interface FuzzResult {
  readonly executions: number
  readonly findings: readonly Finding[]
  /** Inputs that each ran something new, in the order found. */
  readonly corpus: readonly Buffer[]
  readonly blocks: number
}

const batchSize = 40
const longEvery = 150
const findingsMax = 10

/** Fuzzes one target. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const loop = new FuzzLoop(target, options)
  return await loop.run()
}

class FuzzLoop {
  readonly #target: FuzzTarget
  readonly #options: FuzzOptions
  readonly #random: Random
  readonly #kept: Buffer[] = []
  readonly #findings = new Map<string, Finding>()
  readonly #source: MutationSource
  readonly #slowMs: number
  #executions = 0

  constructor(target: FuzzTarget, options: FuzzOptions) {
    this.#target = target
    this.#options = options
    this.#random = new Random(options.seed)
    this.#slowMs = target.slowMs ?? 200
    this.#source = {
      random: this.#random,
      dictionary: target.dictionary,
      other: () => this.#random.pick(this.#kept),
    }
  }

  async run(): Promise<FuzzResult> {
    using coverage = this.#options.isGuided === false ? null : new Coverage()
    const given = [...this.#target.seeds.map(asBuffer), ...this.#options.corpus]
    for (const input of given) {
      await this.#try(input)
      if (coverage === null || coverage.learns()) this.#kept.push(input)
    }
    if (this.#kept.length === 0) this.#kept.push(Buffer.from('a'))
    while (!this.#options.isOver(this.#executions) && this.#findings.size < findingsMax)
      await this.#batch(coverage)
    return {
      executions: this.#executions,
      findings: [...this.#findings.values()],
      corpus: this.#kept,
      blocks: coverage?.blocks ?? 0,
    }
  }

  async #batch(coverage: Coverage | null): Promise<void> {
    const inputs = Array.from({ length: batchSize }, () => this.#make())
    await this.#try(inputs[0]!)
    if (coverage?.learns()) this.#kept.push(inputs[0]!)
    for (const input of inputs.slice(1)) await this.#try(input)
    if (coverage === null || !coverage.hasNews()) return
    for (const input of inputs.slice(1)) {
      await this.#try(input)
      if (coverage.learns()) this.#kept.push(input)
    }
  }

  #make(): Buffer {
    const { inputBytesMax = 1024, longBytesMax = 65_536 } = this.#target
    const random = this.#random
    // Late finds are closer to what has not been seen yet.
    const isLate = random.chance(0.5)
    const from = isLate ? Math.floor(this.#kept.length * 0.75) : 0
    const parent = this.#kept[from + random.below(this.#kept.length - from)]!
    if (random.below(longEvery) === 0)
      return lengthen(mutate(parent, this.#source, inputBytesMax), this.#source, longBytesMax)
    return mutate(parent, this.#source, inputBytesMax)
  }

  async #try(input: Buffer): Promise<void> {
    this.#executions++
    this.#options.beforeRun?.(input)
    const finding = await this.#judge(input)
    if (finding === null) return
    const key = placeOf(finding)
    if (this.#findings.has(key)) return
    const small =
      finding.kind === 'slow'
        ? input
        : await minimise(input, async candidate => {
            this.#options.beforeRun?.(candidate)
            const again = await this.#judge(candidate)
            return again !== null && placeOf(again) === key
          })
    const again = await this.#judge(small)
    this.#findings.set(key, again ?? finding)
  }

  async #judge(input: Buffer): Promise<Finding | null> {
    const startedMs = performance.now()
    try {
      const running = this.#target.run(input)
      if (running !== undefined) await running
    } catch (error) {
      return { kind: 'broken', input, message: describe(error) }
    }
    if (performance.now() - startedMs < this.#slowMs) return null
    return await this.#judgeSlow(input)
  }

  /** Slow once may be the machine or a compilation; three times in a row, by this thread's own clock, is the input. */
  async #judgeSlow(input: Buffer): Promise<Finding | null> {
    let fastestMs = Number.POSITIVE_INFINITY
    for (let i = 0; i < 3; i++) {
      this.#options.beforeRun?.(input)
      const before = process.threadCpuUsage()
      await this.#target.run(input)
      const { user, system } = process.threadCpuUsage(before)
      fastestMs = Math.min(fastestMs, (user + system) / 1000)
    }
    if (fastestMs < this.#slowMs) return null
    return { kind: 'slow', input, message: `${input.length} bytes took ${Math.round(fastestMs)} ms` }
  }
}

function asBuffer(seed: string | Buffer): Buffer {
  return typeof seed === 'string' ? Buffer.from(seed, 'latin1') : seed
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** Findings of one place and kind are one finding: the rule without its numbers, and the first line of ours in the stack. */
function placeOf({ kind, message }: Finding): string {
  if (kind === 'slow') return 'slow'
  const rule = message.split('\n')[0]!.replace(/\d+/g, '#').slice(0, 60)
  const frame = /\/src\/[^)\n]*:\d+:\d+/.exec(message)?.[0] ?? ''
  return `${rule} ${frame}`
}
