// Which parts of the program have run, from V8's own block coverage: what tells the fuzzer that an input is new.
//
// V8 reports counts for blocks inside functions since the last question. Two things are remembered for good: every
// character of source that ever ran, and for every block the magnitude of its count. A question costs about half a
// millisecond, so the fuzzer asks once for many inputs and looks closer only when something new ran.

import { Session } from 'node:inspector'

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

interface ScriptCoverage {
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

/** Whose coverage counts: the product, and the parsers that it stands on; not the fuzzer. */
const isWanted = (url: string): boolean =>
  url.startsWith('file:') &&
  (/\/node_modules\/(smol-toml|dns-packet)\//.test(url) ||
    (/\/src\/.*\.ts$/.test(url) && !url.includes('node_modules')))

/** Remembers what ran. */
export class Coverage implements Disposable {
  readonly #session = new Session()
  /** Source characters that ran, by script. */
  readonly #ran = new Map<string, Uint8Array>()
  readonly #magnitudes = new Set<string>()
  /** How often something ran for the first time: grows with coverage. */
  blocks = 0

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
    this.#take()
  }

  /** Did the one input that ran since the last question run something new, or something so often as none before? */
  learns(): boolean {
    let isNew = false
    for (const { url, functions } of this.#take()) {
      for (const { ranges } of functions) {
        if (ranges[0]!.count === 0) continue
        if (this.#paint(url, ranges, true)) isNew = true
        if (this.#weigh(url, ranges)) isNew = true
      }
    }
    return isNew
  }

  /** Has something run since the last question that never ran before? Remembers nothing. */
  hasNews(): boolean {
    return this.#take().some(({ url, functions }) =>
      functions.some(({ ranges }) => ranges[0]!.count > 0 && this.#paint(url, ranges, false)),
    )
  }

  #paint(url: string, ranges: readonly Range[], remembers: boolean): boolean {
    const { endOffset } = ranges[0]!
    let ran = this.#ran.get(url)
    if (ran === undefined || ran.length < endOffset) {
      const larger = new Uint8Array(Math.max(endOffset, (ran?.length ?? 0) * 2))
      if (ran !== undefined) larger.set(ran)
      ran = larger
      this.#ran.set(url, ran)
    }
    let isNew = false
    // Ranges are nested and sorted: what stands still inside what ran is stepped over.
    const paint = (from: number, to: number): void => {
      if (from >= to) return
      if (!ran.subarray(from, to).includes(0)) return
      if (remembers) ran.fill(1, from, to)
      isNew = true
    }
    let at = ranges[0]!.startOffset
    for (const range of ranges) {
      if (range.count > 0 || range.endOffset <= at) continue
      paint(at, range.startOffset)
      at = range.endOffset
    }
    paint(at, endOffset)
    if (isNew && remembers) this.blocks++
    return isNew
  }

  #weigh(url: string, ranges: readonly Range[]): boolean {
    const before = this.#magnitudes.size
    for (const { startOffset, endOffset, count } of ranges) {
      if (count === 0) continue
      // 1, 2, 3, 4–7, 8–15 … 128 and more: loops that run twice as often are another matter.
      const magnitude = count < 4 ? count : Math.min(Math.floor(Math.log2(count)) + 2, 9)
      this.#magnitudes.add(`${url} ${startOffset} ${endOffset} ${magnitude}`)
    }
    return this.#magnitudes.size > before
  }

  #take(): ScriptCoverage[] {
    let scripts: ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error) throw error
      scripts = answer.result.filter(({ url }) => isWanted(url))
    })
    return scripts
  }

  [Symbol.dispose](): void {
    this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }
}
