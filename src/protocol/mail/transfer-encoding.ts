// Quoted-printable and base64 (RFC 2045 §6.7, §6.8) on bytes.
//
// Place on the path: the re-encoder, and DSN for small texts. Invariants: linear time, in steps (steps.ts), output
// lines of at most 76 bytes, the decoded output is exactly the input. The decoder is lenient, as receivers are: what
// is malformed stays as it stands.

import type { PieceSink } from './gathered.ts'
import { runAtOnce, type Steps, stepBytes } from './steps.ts'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09
const EQUALS = 0x3d
const HYPHEN = 0x2d
const lineMax = 76
const base64LineBytes = 57

const hexDigits = Buffer.from('0123456789ABCDEF')
const hexValues = new Int8Array(256).fill(-1)
for (const [value, digit] of [...'0123456789ABCDEF'].entries()) {
  hexValues[digit.charCodeAt(0)] = value
  hexValues[digit.toLowerCase().charCodeAt(0)] = value
}

/** Whether a byte may stand for itself inside a quoted-printable line. */
function isPlain(byte: number): boolean {
  return (byte > SP && byte < 0x7f && byte !== EQUALS) || byte === SP || byte === TAB
}

/** Encodes text: CRLF stays a line break; a bare CR or LF becomes `=0D`, `=0A`. For small texts, in one go. */
export function encodeQuotedPrintable(bytes: Buffer): Buffer {
  return gathered(pieces => encodeQuotedPrintableInto(pieces, bytes))
}

function gathered(work: (pieces: Buffer[]) => Steps<void>): Buffer {
  const pieces: Buffer[] = []
  runAtOnce(work(pieces))
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}

/** As `encodeQuotedPrintable`; the encoded text is added to `pieces`. */
export function* encodeQuotedPrintableInto(pieces: PieceSink, bytes: Buffer): Steps<void> {
  let column = 0
  for (let start = 0; start < bytes.length; ) {
    const end = endOfPiece(bytes, start)
    const out = Buffer.allocUnsafe(quotedPrintableBytesMax(bytes, start, end))
    let used = 0
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!
      const isLineEnd = byte === CR && bytes[at + 1] === LF
      if (isLineEnd) {
        out[used++] = CR
        out[used++] = LF
        column = 0
        at++
        continue
      }
      const isLast = at + 1 === bytes.length || (bytes[at + 1] === CR && bytes[at + 2] === LF)
      // White space at the end of a line would be lost on the way (RFC 2045 §6.7 rule 3).
      let isLiteral = isPlain(byte) && !(isLast && (byte === SP || byte === TAB))
      const width = isLiteral ? 1 : 3
      if (column + width > (isLast ? lineMax : lineMax - 1)) {
        out[used++] = EQUALS
        out[used++] = CR
        out[used++] = LF
        column = 0
      }
      // A line that begins with two hyphens could be the delimiter of a multipart around this part.
      if (column === 0 && byte === HYPHEN && bytes[at + 1] === HYPHEN) isLiteral = false
      column += isLiteral ? 1 : 3
      if (isLiteral) out[used++] = byte
      else {
        out[used++] = EQUALS
        out[used++] = hexDigits[byte >> 4]!
        out[used++] = hexDigits[byte & 15]!
      }
    }
    pieces.push(out.subarray(0, used))
    start = end
    yield
  }
}

/** Where the piece of work that begins at `start` ends: never between CR and LF. */
function endOfPiece(bytes: Buffer, start: number): number {
  const end = Math.min(bytes.length, start + stepBytes)
  return end < bytes.length && bytes[end - 1] === CR && bytes[end] === LF ? end + 1 : end
}

function quotedPrintableBytesMax(bytes: Buffer, start: number, end: number): number {
  let size = end - start
  for (let at = start; at < end; at++) if (!isPlain(bytes[at]!) || bytes[at + 1] === CR) size += 2
  // Hyphens, where they may come to stand at the beginning of a line.
  for (let at = start; at < end; at++) if (bytes[at] === HYPHEN && bytes[at + 1] === HYPHEN) size += 2
  // White space at the very end, and a soft line break after every 73 bytes at the soonest; a line may be under way.
  size += 2
  return size + (Math.floor(size / 73) + 2) * 3
}

/** Encodes bytes in lines of 76, parted by CRLF; none after the last line. */
export function encodeBase64(bytes: Buffer): Buffer {
  return gathered(pieces => encodeBase64Into(pieces, bytes))
}

/** As `encodeBase64`; the lines are added to `pieces`. */
export function* encodeBase64Into(pieces: PieceSink, bytes: Buffer): Steps<void> {
  // Large pieces of whole lines: one conversion for many lines, no string as large as the content.
  const pieceBytes = base64LineBytes * 1024
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    const text = bytes.toString('base64', start, Math.min(bytes.length, start + pieceBytes))
    const out = Buffer.allocUnsafe(text.length + Math.ceil(text.length / lineMax) * 2)
    let used = 0
    for (let at = 0; at < text.length; at += lineMax) {
      if (start > 0 || used > 0) used += out.write('\r\n', used, 'latin1')
      used += out.write(text.slice(at, at + lineMax), used, 'latin1')
    }
    pieces.push(out.subarray(0, used))
    yield
  }
}

/** Decodes quoted-printable; bytes that do not fit are kept as they are. */
export function decodeQuotedPrintable(bytes: Buffer): Buffer {
  return runAtOnce(decodeQuotedPrintableSteps(bytes))
}

/** As `decodeQuotedPrintable`, to be run in slices. */
export function* decodeQuotedPrintableSteps(bytes: Buffer): Steps<Buffer> {
  const out = Buffer.allocUnsafe(bytes.length)
  let used = 0
  // Output up to here is certain; white space behind it is dropped when a line end follows (rule 3).
  let certain = 0
  let nextYield = stepBytes
  for (let at = 0; at < bytes.length; at++) {
    if (at >= nextYield) {
      nextYield = at + stepBytes
      yield
    }
    const byte = bytes[at]!
    if (byte === EQUALS) {
      const softEnd = endOfSoftBreak(bytes, at)
      if (softEnd !== undefined) at = softEnd - 1
      else at += putEscape(bytes, at, out, used)
      if (softEnd === undefined) used++
      certain = used
    } else if (byte === CR && bytes[at + 1] === LF) {
      used = certain
      out[used++] = CR
      out[used++] = LF
      certain = used
      at++
    } else {
      out[used++] = byte
      if (byte !== SP && byte !== TAB) certain = used
    }
  }
  return out.subarray(0, used)
}

/** Behind `=`, white space and CRLF (or the end), when that is what is at `start`. */
function endOfSoftBreak(bytes: Buffer, start: number): number | undefined {
  let at = start + 1
  while (bytes[at] === SP || bytes[at] === TAB) at++
  if (at === bytes.length) return at
  return bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : undefined
}

/** Puts the byte of `=XY`, or `=` itself when no two digits follow; gives how many more bytes were used. */
function putEscape(bytes: Buffer, at: number, out: Buffer, used: number): number {
  const high = at + 1 < bytes.length ? hexValues[bytes[at + 1]!]! : -1
  const low = at + 2 < bytes.length ? hexValues[bytes[at + 2]!]! : -1
  const isEscape = high >= 0 && low >= 0
  out[used] = isEscape ? high * 16 + low : EQUALS
  return isEscape ? 2 : 0
}

/** Breaks base64 anew into lines of 76; line ends and bytes outside the alphabet go, nothing is decoded. */
export function rewrapBase64(bytes: Buffer): Buffer {
  return gathered(pieces => rewrapBase64Into(pieces, bytes))
}

/** As `rewrapBase64`; the lines are added to `pieces`. */
export function* rewrapBase64Into(pieces: PieceSink, bytes: Buffer): Steps<void> {
  let column = 0
  for (let start = 0; start < bytes.length; start += stepBytes) {
    const end = Math.min(bytes.length, start + stepBytes)
    const out = Buffer.allocUnsafe(end - start + (Math.floor((end - start) / lineMax) + 2) * 2)
    let used = 0
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!
      if (!isBase64(byte)) continue
      if (column === lineMax) {
        out[used++] = CR
        out[used++] = LF
        column = 0
      }
      out[used++] = byte
      column++
    }
    pieces.push(out.subarray(0, used))
    yield
  }
}

function isBase64(byte: number): boolean {
  const lower = byte | 0x20
  return (
    (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x2f && byte <= 0x39) || byte === 0x2b || byte === EQUALS
  )
}
