// Folding of header fields that have over-long lines (RFC 5322 §2.2.3).
//
// Place on the path: the re-encoder. Invariants: only CRLF is put in, in front of white space that is there
// already, so the unfolded value stays the same; no line of nothing but white space comes out.

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09
const preferredMax = 78
const lineEndBytes = Buffer.from('\r\n')

/** The field with no line over `lineBytesMax`; the same Buffer when it fits; undefined when it cannot be done. */
export function foldField(field: Buffer, lineBytesMax: number): Buffer | undefined {
  const pieces: Buffer[] = []
  let isChanged = false
  for (let start = 0; start < field.length; ) {
    const found = field.indexOf(lineEndBytes, start)
    const end = found === -1 ? field.length : found
    const line = field.subarray(start, Math.min(field.length, end + 2))
    start = end + 2
    if (line.length - 2 <= lineBytesMax) {
      pieces.push(line)
      continue
    }
    isChanged = true
    if (!foldLine(line, lineBytesMax, pieces)) return undefined
  }
  return isChanged ? Buffer.concat(pieces) : field
}

/** Cuts one line; false when a stretch without white space is longer than the limit. */
function foldLine(line: Buffer, lineBytesMax: number, pieces: Buffer[]): boolean {
  const end = line.at(-1) === LF && line.at(-2) === CR ? line.length - 2 : line.length
  let start = 0
  // The last place where the present line can be cut: white space that has something else on both sides.
  let cut = 0
  let hasText = false
  for (let at = 0; at <= end; at++) {
    const isCuttable = at === end || (hasText && isWsp(line[at]) && isTextAhead(line, at))
    if (isCuttable && cut > start && at - start > preferredMax) {
      if (cut - start > lineBytesMax) return false
      pieces.push(line.subarray(start, cut), lineEndBytes)
      start = cut
    }
    if (isCuttable) cut = at
    hasText ||= !isWsp(line[at])
  }
  pieces.push(line.subarray(start))
  return end - start <= lineBytesMax
}

function isWsp(byte: number | undefined): boolean {
  return byte === SP || byte === TAB
}

/** A run of white space may be cut at its first byte only, and not at the end of the line. */
function isTextAhead(line: Buffer, at: number): boolean {
  if (isWsp(line[at - 1])) return false
  let i = at + 1
  while (isWsp(line[i])) i++
  return i < line.length && line[i] !== CR
}
