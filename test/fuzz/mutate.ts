// Makes new inputs from old ones: small changes, words of the target's language, pieces of other inputs, long repetitions.

import type { Random } from '../support/random.ts'

/** Bytes that parsers of mail treat in a way of their own. */
const special: readonly number[] = [
  0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x28, 0x29, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x3a, 0x3b, 0x3c, 0x3d,
  0x3e, 0x3f, 0x40, 0x5b, 0x5c, 0x5d, 0x5f, 0x7f, 0x80, 0x85, 0xc3, 0xa9, 0xe2, 0xff,
]

/** Words that fit everywhere. */
const common: readonly string[] = [
  '\r\n',
  '\r\n\r\n',
  '\r\n.\r\n',
  '\n',
  '\r',
  '\0',
  '\t',
  ' ',
  '\xc3\xa9',
  '\xe2\x80\xa8',
]

/** What mutations draw upon. */
export interface MutationSource {
  readonly random: Random
  readonly dictionary: readonly string[]
  /** Another input, to take pieces from. */
  other(): Buffer
}

type Mutation = (input: Buffer, source: MutationSource) => Buffer

const spliced = (input: Buffer, from: number, to: number, piece: Buffer): Buffer =>
  Buffer.concat([input.subarray(0, from), piece, input.subarray(to)])

const stretch = (input: Buffer, random: Random): [number, number] => {
  const from = random.below(input.length + 1)
  const most = random.chance(0.7) ? 8 : input.length
  return [from, Math.min(input.length, from + random.below(most + 1))]
}

const nothing = Buffer.alloc(0)

const mutations: readonly Mutation[] = [
  // A byte flips a bit, becomes a special one, or any.
  (input, { random }) => {
    if (input.length === 0) return random.bytes(1)
    const changed = Buffer.from(input)
    const at = random.below(changed.length)
    changed[at] = random.chance(0.4)
      ? random.pick(special)
      : random.chance(0.5)
        ? changed[at]! ^ (1 << random.below(8))
        : random.below(256)
    return changed
  },
  // A special byte comes in.
  (input, { random }) => {
    const at = random.below(input.length + 1)
    return spliced(input, at, at, Buffer.from([random.pick(special)]))
  },
  // A stretch goes.
  (input, { random }) => {
    const [from, to] = stretch(input, random)
    return spliced(input, from, to, nothing)
  },
  // A stretch comes twice.
  (input, { random }) => {
    const [from, to] = stretch(input, random)
    return spliced(input, to, to, input.subarray(from, to))
  },
  // A stretch moves.
  (input, { random }) => {
    const [from, to] = stretch(input, random)
    const without = spliced(input, from, to, nothing)
    const at = random.below(without.length + 1)
    return spliced(without, at, at, input.subarray(from, to))
  },
  // A word comes in, or takes the place of something.
  (input, { random, dictionary }) => {
    const words = dictionary.length > 0 && random.chance(0.8) ? dictionary : common
    const word = Buffer.from(random.pick(words), 'latin1')
    const [from, to] = stretch(input, random)
    return spliced(input, from, random.chance(0.6) ? from : to, word)
  },
  // A piece of another input.
  (input, { random, other }) => {
    const donor = other()
    const [from, to] = stretch(donor, random)
    const [here, until] = stretch(input, random)
    return spliced(input, here, random.chance(0.5) ? here : until, donor.subarray(from, to))
  },
  // The beginning of one, the end of another.
  (input, { random, other }) => {
    const donor = other()
    return Buffer.concat([
      input.subarray(0, random.below(input.length + 1)),
      donor.subarray(random.below(donor.length + 1)),
    ])
  },
  // A number becomes another.
  (input, { random }) => {
    const text = input.toString('latin1')
    const numbers = [...text.matchAll(/\d+/g)]
    if (numbers.length === 0) return input
    const found = random.pick(numbers)
    const value = random.pick([
      '0',
      '1',
      '-1',
      '255',
      '256',
      '65535',
      '65536',
      '4294967296',
      '9007199254740993',
      '1e9',
      '00',
    ])
    return spliced(input, found.index, found.index + found[0].length, Buffer.from(value))
  },
]

/** A new input of at most `sizeBytesMax`. */
export function mutate(input: Buffer, source: MutationSource, sizeBytesMax: number): Buffer {
  let made = input
  for (let left = 1 + source.random.below(source.random.chance(0.5) ? 2 : 8); left > 0; left--) {
    made = source.random.pick(mutations)(made, source)
    if (made.length > sizeBytesMax) made = made.subarray(0, sizeBytesMax)
  }
  return made
}

/** An input in which one stretch stands again and again until it is as long as it may be. */
export function lengthen(input: Buffer, source: MutationSource, sizeBytesMax: number): Buffer {
  const { random, dictionary } = source
  let [from, to] = stretch(input, random)
  let piece = input.subarray(from, to)
  if (piece.length === 0 || random.chance(0.3)) {
    const words = dictionary.length > 0 ? dictionary : common
    piece = Buffer.from(random.pick(words) + (random.chance(0.5) ? random.pick(words) : ''), 'latin1')
    from = to
  }
  if (piece.length === 0) piece = Buffer.from('a')
  const room = sizeBytesMax - (input.length - (to - from))
  if (room < piece.length) return input.subarray(0, sizeBytesMax)
  const times = Math.floor(room / piece.length)
  return spliced(input, from, to, Buffer.concat(Array.from({ length: times }, () => piece)))
}
