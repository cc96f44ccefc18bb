// Makes content safe to send: checks its line ends and stuffs its dots (RFC 5321 §4.5.2).
//
// This is the guard against smuggling on the way out: what it lets through has CRLF line ends only, no NUL, and in DATA
// no line that is a lone dot. One pass over the bytes finds all of it; nothing is copied when no line begins with a dot.
// The state crosses the borders of parts, so content may be split anywhere.

const LF = 0x0a
const CR = 0x0d
const DOT = 0x2e

/** What content must not hold. */
export type ContentFault = 'bare-lf' | 'bare-cr' | 'nul'

/** A sentence for each fault. */
export const contentFaultTexts: Readonly<Record<ContentFault, string>> = {
  'bare-lf': 'the content has a bare LF; lines must end in CRLF',
  'bare-cr': 'the content has a bare CR; lines must end in CRLF',
  nul: 'the content has a NUL byte',
}

/** Walks over the parts of one content in order. */
export class ContentScanner {
  /** The byte before the next part; content begins as if after a line end. */
  #previous = LF
  #isEmpty = true
  #fault: ContentFault | null = null
  #dots = 0

  get fault(): ContentFault | null {
    return this.#fault
  }

  /** True when the content so far is empty or ends in CRLF. */
  get isAtLineStart(): boolean {
    return this.#previous === LF
  }

  get isEmpty(): boolean {
    return this.#isEmpty
  }

  /** Number of dots that need a second one in the part scanned last. */
  get dots(): number {
    return this.#dots
  }

  /** Reads a part. */
  scan(part: Buffer): void {
    this.#dots = 0
    if (part.length === 0) return
    // Searching a one-byte string costs a fifth of a loop over the bytes; no character of it is interpreted.
    const text = part.toString('latin1')
    if (text.includes('\0')) {
      this.#fail('nul')
      return
    }
    let at = 0
    let dots = 0
    if (this.#previous === CR) {
      if (part[0] !== LF) {
        this.#fail('bare-cr')
        return
      }
      at = 1
    }
    if ((at === 1 || this.#previous === LF) && part[at] === DOT) dots++
    for (;;) {
      const lf = text.indexOf('\n', at)
      const cr = text.indexOf('\r', at)
      if (lf === -1) {
        if (cr !== -1 && cr !== part.length - 1) {
          this.#fail('bare-cr')
          return
        }
        break
      }
      if (cr === -1 || cr > lf) {
        this.#fail('bare-lf')
        return
      }
      if (cr < lf - 1) {
        this.#fail('bare-cr')
        return
      }
      at = lf + 1
      if (part[at] === DOT) dots++
    }
    this.#dots = dots
    this.#previous = part[part.length - 1]!
    this.#isEmpty = false
  }

  /** To be called when no part follows: a CR at the very end is a bare one. */
  finish(): void {
    if (this.#fault === null && this.#previous === CR) this.#fault = 'bare-cr'
  }

  #fail(fault: ContentFault): void {
    this.#fault ??= fault
  }
}

/**
 * A copy of `part` with a second dot before each dot that begins a line. `isAtLineStart` tells of the byte before it,
 * `dots` how many there are.
 */
export function stuffed(part: Buffer, isAtLineStart: boolean, dots: number): Buffer {
  const out = Buffer.allocUnsafe(part.length + dots)
  let written = 0
  let from = 0
  for (
    let at = isAtLineStart && part[0] === DOT ? 0 : dotAfter(part, 0);
    at !== -1;
    at = dotAfter(part, at + 1)
  ) {
    written += part.copy(out, written, from, at)
    out[written++] = DOT
    from = at
  }
  part.copy(out, written, from)
  return out
}

/** Index of the next dot behind an LF, looking from `from`; -1 when there is none. */
function dotAfter(part: Buffer, from: number): number {
  const at = part.indexOf('\n.', from, 'latin1')
  return at === -1 ? -1 : at + 1
}
