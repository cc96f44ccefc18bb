// Keeps one kind of log line from filling the disk: so many in ten seconds, and then how many were left out.
//
// For lines that strangers, or every message while the disk is full, can cause. What is left out is still counted in the
// metrics. Kinds are a closed set of ours (codes of refusals), so the memory is bounded.

const windowMs = 10_000
const linesMax = 20

interface Window {
  startedMs: number
  lines: number
  leftOut: number
}

/** See the head of the file. */
export class LogThrottle {
  readonly #windows = new Map<string, Window>()

  /** May a line of this kind be written now? Null: no. Else how many were left out since the last one. */
  pass(kind: string, nowMs: number): number | null {
    const window = this.#windows.get(kind)
    if (window === undefined || nowMs - window.startedMs >= windowMs) {
      this.#windows.set(kind, { startedMs: nowMs, lines: 1, leftOut: 0 })
      return window?.leftOut ?? 0
    }
    if (window.lines >= linesMax) {
      window.leftOut++
      return null
    }
    window.lines++
    return 0
  }
}
