// What a fuzz target is. One stands beside each parser of untrusted bytes, as `name.fuzz.ts`, and exports `target`.
//
// A target says what must hold for every input and throws when it does not. It is a plain function of its input: no
// clock, no randomness, so that an input that fails once fails always.

/** One parser under fuzzing. */
export interface FuzzTarget {
  /** As in `npm run fuzz -- NAME`. */
  readonly name: string
  /** What holds for every input, as sentences. */
  readonly invariants: readonly string[]
  /** Words of the language that the parser reads; put into inputs. */
  readonly dictionary: readonly string[]
  /** Inputs to begin with; text is taken as Latin-1. */
  readonly seeds: readonly (string | Buffer)[]
  /** Inputs are usually no longer than this. Default 1,024. */
  readonly inputBytesMax?: number
  /** Now and then they are as long as this, for what grows faster than its input. Default 65,536. */
  readonly longBytesMax?: number
  /** An input that takes longer is a finding, milliseconds. Default 200: an event loop must not stand still. */
  readonly slowMs?: number
  /** Throws, or rejects, when an invariant is broken. */
  run(input: Buffer): void | Promise<void>
}

/** Longer inputs are not read byte by byte: it would say nothing new and take the time of many short ones. */
const shortBytes = 48
const bytewiseBytes = 2048

/** Ways to cut an input: everywhere when it is short, else byte by byte and at places that depend on it. */
export function* cutsOf(input: Buffer): Generator<Buffer[]> {
  const { length } = input
  if (length < 2) return
  if (length <= bytewiseBytes) yield Array.from(input, (_, at) => input.subarray(at, at + 1))
  if (length <= shortBytes) {
    for (let at = 1; at < length; at++) yield [input.subarray(0, at), input.subarray(at)]
    return
  }
  let mixed = length
  for (let i = 0; i < 4; i++) {
    mixed = (Math.imul(mixed ^ input[mixed % length]!, 0x01000193) + i) >>> 0
    const first = 1 + (mixed % (length - 1))
    const second = first + ((mixed >>> 8) % (length - first + 1))
    yield [input.subarray(0, first), input.subarray(first, second), input.subarray(second)]
  }
}

/** For plain invariants; comparisons are better made with `assert.deepEqual`, which tells what differs. */
export function must(holds: boolean, rule: string): void {
  if (!holds) throw new Error(rule)
}
