// Scanner over the raw header block of a content: where each field begins and ends.
//
// Place on the path: submission scans the block once; trace, From rules, loop stop, Bcc removal and DKIM
// read the same scan. Nothing is copied: a field is a pair of offsets into the bytes it came from.
// Invariants: linear time, no recursion, no regex; lines end at CRLF only. Whatever is odd is kept in the
// block and reported in `oddities`, never thrown: the caller decides what to refuse.

import { isAscii } from 'node:buffer'
import { trimBlanks } from './blanks.ts'

const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const TAB = 0x09
const COLON = 0x3a
const maxOddities = 16

/** One field of a header block, by offsets into `source`; no bytes are copied. */
export interface HeaderField {
  /** Field name in lower case; '' for a line that is no field (see the block's oddities). */
  readonly name: string
  /** The bytes that the offsets refer to. */
  readonly source: Buffer
  /** Offset of the first byte of the name. */
  readonly start: number
  /** Offset of the byte after the colon; equal to `start` when the line has no colon. */
  readonly valueStart: number
  /** Offset behind the last byte of the field, its CRLF included. */
  readonly end: number
}

/** What a strict reader would not expect in a header block; `at` is an offset in the block. */
export interface HeaderOddity {
  readonly kind:
    | 'no-colon'
    | 'bad-name'
    | 'space-before-colon'
    | 'leading-continuation'
    | 'blank-continuation'
    | 'bare-cr'
    | 'bare-lf'
    | 'nul'
    | 'unterminated'
  readonly at: number
}

/** A scanned header block. */
export interface HeaderBlock {
  /** The block, its blank line included when it has one. */
  readonly bytes: Buffer
  /** Fields in their order, top to bottom. */
  readonly fields: readonly HeaderField[]
  /** Oddities in their order; at most 16 are kept. */
  readonly oddities: readonly HeaderOddity[]
  /** Whether the blank line that separates header and body is there. */
  readonly hasBlankLine: boolean
  /** Whether no byte is above 127. */
  readonly isAscii: boolean
}

/** Limits of a header block; the defaults are 128 KiB and 1,000 fields. */
export interface HeaderLimits {
  readonly sizeBytesMax: number
  readonly fieldsMax: number
}

export const defaultHeaderLimits: HeaderLimits = { sizeBytesMax: 128 * 1024, fieldsMax: 1000 }

/** Outcome of a scan. */
export type HeaderScan =
  | { readonly kind: 'scanned'; readonly block: HeaderBlock }
  | { readonly kind: 'too-many-fields'; readonly fieldsMax: number }
  | { readonly kind: 'too-large'; readonly sizeBytesMax: number }

/**
 * Scans a header block: the bytes up to and including the blank line, or all of a content that has no
 * blank line. Bytes after the blank line are an error of the caller and are left out of the block.
 */
export function scanHeaderBlock(bytes: Buffer, limits: HeaderLimits = defaultHeaderLimits): HeaderScan {
  if (bytes.length > limits.sizeBytesMax) return { kind: 'too-large', sizeBytesMax: limits.sizeBytesMax }
  const fields: HeaderField[] = []
  const oddities: HeaderOddity[] = []
  let at = 0
  let hasBlankLine = false
  while (at < bytes.length) {
    if (bytes[at] === CR && bytes[at + 1] === LF) {
      hasBlankLine = true
      at += 2
      break
    }
    if (fields.length >= limits.fieldsMax) return { kind: 'too-many-fields', fieldsMax: limits.fieldsMax }
    const start = at
    if (isWsp(bytes[start])) report(oddities, 'leading-continuation', start)
    at = endOfLine(bytes, start, oddities)
    while (isWsp(bytes[at])) {
      const next = endOfLine(bytes, at, oddities)
      if (isBlank(bytes, at, next)) report(oddities, 'blank-continuation', at)
      at = next
    }
    fields.push(fieldAt(bytes, start, at, oddities))
  }
  const block = at === bytes.length ? bytes : bytes.subarray(0, at)
  return {
    kind: 'scanned',
    block: { bytes: block, fields, oddities, hasBlankLine, isAscii: isAscii(block) },
  }
}

/** Offset behind the CRLF that ends the line at `start`, or the end of the bytes. */
function endOfLine(bytes: Buffer, start: number, oddities: HeaderOddity[]): number {
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte > CR) continue
    if (byte === CR) {
      if (bytes[i + 1] === LF) return i + 2
      report(oddities, 'bare-cr', i)
    } else if (byte === LF) report(oddities, 'bare-lf', i)
    else if (byte === 0) report(oddities, 'nul', i)
  }
  report(oddities, 'unterminated', bytes.length)
  return bytes.length
}

/** Splits name and value of the field that lies between `start` and `end`. */
function fieldAt(source: Buffer, start: number, end: number, oddities: HeaderOddity[]): HeaderField {
  // RFC 5322 §2.2: a name is printable US-ASCII without colon; obsolete syntax allows WSP before the colon.
  let nameEnd = start
  while (nameEnd < end && isNameByte(source[nameEnd]!)) nameEnd++
  let colon = nameEnd
  while (colon < end && isWsp(source[colon])) colon++
  if (source[colon] !== COLON || colon >= end || nameEnd === start) {
    const hasColon = source.subarray(start, end).includes(COLON)
    report(oddities, hasColon ? 'bad-name' : 'no-colon', start)
    return { name: '', source, start, valueStart: start, end }
  }
  if (colon !== nameEnd) report(oddities, 'space-before-colon', nameEnd)
  const name = source.toString('latin1', start, nameEnd).toLowerCase()
  return { name, source, start, valueStart: colon + 1, end }
}

function report(oddities: HeaderOddity[], kind: HeaderOddity['kind'], at: number): void {
  if (oddities.length < maxOddities) oddities.push({ kind, at })
}

function isNameByte(byte: number): boolean {
  return byte > SP && byte < 0x7f && byte !== COLON
}

function isWsp(byte: number | undefined): boolean {
  return byte === SP || byte === TAB
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! > SP) return false
  return true
}

/** Fields of that name (lower case), top to bottom. */
export function fieldsNamed(block: HeaderBlock, name: string): HeaderField[] {
  return block.fields.filter(field => field.name === name)
}

/** Number of fields of that name (lower case). */
export function countFields(block: HeaderBlock, name: string): number {
  let count = 0
  for (const field of block.fields) if (field.name === name) count++
  return count
}

/** The field as it stands, name and CRLF included (a view, not a copy). */
export function fieldBytes(field: HeaderField): Buffer {
  return field.source.subarray(field.start, field.end)
}

/** The value unfolded (RFC 5322 §2.2.3) and trimmed; read as UTF-8, invalid bytes become U+FFFD. */
export function fieldValue(field: HeaderField): string {
  const raw = field.source.toString('utf8', field.valueStart, field.end)
  return trimBlanks(raw.replaceAll('\r\n', ''))
}

/** The fields of several blocks in wire order, such as a prefix of ours and then the content's block. */
export function fieldsInOrder(...blocks: readonly HeaderBlock[]): HeaderField[] {
  return blocks.flatMap(block => block.fields)
}

/** Fields that a relay must not pass on (RFC 5322 §3.6.3, §3.6.6): they name hidden recipients. */
export const hiddenRecipientFields: ReadonlySet<string> = new Set(['bcc', 'resent-bcc'])

/** The block without the fields of those names (lower case); the same block when there are none. */
export function withoutFields(block: HeaderBlock, names: ReadonlySet<string>): HeaderBlock {
  if (!block.fields.some(field => names.has(field.name))) return block
  const kept: Buffer[] = block.fields.filter(field => !names.has(field.name)).map(fieldBytes)
  if (block.hasBlankLine) kept.push(Buffer.from('\r\n'))
  const bytes = Buffer.concat(kept)
  const scan = scanHeaderBlock(bytes, { sizeBytesMax: bytes.length, fieldsMax: block.fields.length })
  // A part of a block that fitted fits too, so the other outcomes cannot occur.
  return scan.kind === 'scanned' ? scan.block : block
}
