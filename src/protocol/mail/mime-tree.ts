// Finds the parts of a MIME content by offsets (RFC 2045, RFC 2046), without copying or decoding.
//
// Place on the path: the re-encoder only; the ordinary relay path never looks into a body.
// Invariants: linear time whatever the nesting: one pass over the lines that begin with `--`, delimiters looked
// up by their text. Depth, number of parts, their headers and look-ups in vain are bounded; fields are not kept, since six
// million of them fit into a content, and a part is kept small, since ten thousand of them fit into 70 KB (who makes trees
// of many contents bounds how many there are at a time: Turns in steps.ts). Never throws; a structure that cannot be
// followed is a value. It goes in steps
// (steps.ts), since a content may be large. How it goes:
//   1. read the header of the content; its Content-Type makes a node (leaf, multipart, message);
//   2. a multipart adds its two delimiter lines to the table, a message's inner header is read at once;
//   3. go from delimiter line to delimiter line: close the nodes that it ends, open the part that it begins.

import { trimBlanks, trimBlanksEnd } from './blanks.ts'
import { parseContentType } from './content-type.ts'
import { fieldsNamed, fieldValue, type HeaderBlock, scanHeaderBlock } from './header-block.ts'
import { runAtOnce, type Steps } from './steps.ts'

/** Deepest nesting that is followed. */
export const mimeDepthMax = 100
const partsMax = 10_000
const fieldsMax = 1000
const boundaryBytesMax = 200
/** Header of an inner part; our own door takes less than this of a whole message. */
const headerBytesMax = 1_048_576
/** Lines that begin like an open delimiter and are none: dumps and patches have some, a million are meant to cost. */
const vainLookupsMax = 1_000_000
const lookupsPerStep = 256
const lineEndBytes = Buffer.from('\r\n')
const dashes = Buffer.from('\r\n--')

/** A part, or the whole content. Offsets are into the content. */
export interface MimePart {
  readonly kind: 'leaf' | 'multipart' | 'message'
  /** `type/subtype` in lower case; '' when it cannot be read. */
  readonly type: string
  /** Content-Transfer-Encoding in lower case; `7bit` when there is none (RFC 2045 §6.1). */
  readonly encoding: string
  readonly headerStart: number
  /** Behind the header and its blank line, when it has one. */
  readonly bodyStart: number
  /** Behind the body; the CRLF before a delimiter line belongs to the delimiter. */
  bodyEnd: number
  /** Parts of a multipart; the inner content of a message. */
  readonly children: MimePart[]
  /** Delimiter lines of a multipart: one in front of each child, then the closing one unless it is missing. */
  readonly delimiters: Delimiter[]
}

/** A delimiter line: `start` is behind the CRLF before it, `end` behind its own CRLF. */
export interface Delimiter {
  readonly start: number
  readonly end: number
  readonly isClosing: boolean
}

/** Outcome of the search. */
export type MimeTree =
  | { readonly kind: 'parsed'; readonly root: MimePart }
  | { readonly kind: 'unclear'; readonly why: string }

/** The header of a part with its blank line, as it stands in the content. */
export function headerBytesOf(content: Buffer, part: MimePart): Buffer {
  return content.subarray(part.headerStart, part.bodyStart)
}

/** The header of a part, scanned anew each time. */
export function headerOf(content: Buffer, part: MimePart): HeaderBlock {
  const headerBytes = headerBytesOf(content, part)
  const scan = scanHeaderBlock(headerBytes, { sizeBytesMax: headerBytes.length, fieldsMax })
  // It was scanned when the part was made, and was no larger.
  return scan.kind === 'scanned' ? scan.block : noHeader
}

const noHeader: HeaderBlock = {
  bytes: Buffer.alloc(0),
  fields: [],
  oddities: [],
  hasBlankLine: false,
  isAscii: true,
}

interface OpenMultipart {
  readonly part: MimePart
  readonly boundary: string
  /** What the table held for this boundary before: an outer multipart with the same one. */
  readonly shadowed: OpenMultipart | undefined
  /** Nodes of the path at the time when this multipart became one. */
  readonly depth: number
}

/** Parses a whole content, header and body. */
export function parseMime(content: Buffer): MimeTree {
  return runAtOnce(parseMimeSteps(content))
}

/** As `parseMime`, to be run in slices. */
export function parseMimeSteps(content: Buffer): Steps<MimeTree> {
  return new MimeParser(content).parse()
}

class MimeParser {
  readonly #content: Buffer
  /** Nodes that are open now, outermost first. */
  readonly #path: MimePart[] = []
  readonly #open: OpenMultipart[] = []
  readonly #byBoundary = new Map<string, OpenMultipart>()
  /** How many open boundaries begin with each byte: most lines that begin with `--` are settled by it. */
  readonly #firstBytes = new Uint16Array(256)
  #parts = 0
  #lookups = 0
  #vainLookups = 0
  #why = ''

  constructor(content: Buffer) {
    this.#content = content
  }

  *parse(): Steps<MimeTree> {
    const content = this.#content
    let at = yield* this.#enterPart(0, 'text/plain')
    while (this.#why === '' && at < content.length) {
      const line = yield* this.#nextDelimiter(at)
      if (line === undefined) break
      at = yield* this.#takeDelimiter(line.multipart, line.delimiter)
    }
    if (this.#why !== '') return { kind: 'unclear', why: this.#why }
    const root = this.#path[0]!
    // A multipart whose closing line is missing ends with the content, as if that line stood behind it.
    const outermost = this.#open[0]
    const isLineEnd = content.at(-1) === 0x0a && content.at(-2) === 0x0d
    if (outermost !== undefined) this.#closeDownTo(outermost.depth, content.length + (isLineEnd ? 0 : 2))
    this.#closeDownTo(0, content.length)
    return { kind: 'parsed', root }
  }

  /** Reads the header at `start` and makes a node of it; gives the offset where its body begins. */
  *#enterPart(start: number, defaultType: string): Steps<number> {
    let at = start
    let type = defaultType
    for (;;) {
      yield
      if (++this.#parts > partsMax) return this.#fail(`it has over ${partsMax} parts`)
      if (this.#path.length >= mimeDepthMax)
        return this.#fail(`its parts are nested over ${mimeDepthMax} deep`)
      const headerEnd = yield* this.#endOfHeader(at)
      if (headerEnd - at > headerBytesMax) return this.#fail('a part has a header of over 1 MiB')
      const header = this.#content.subarray(at, headerEnd)
      const scan = scanHeaderBlock(header, { sizeBytesMax: header.length, fieldsMax })
      if (scan.kind !== 'scanned') return this.#fail(`a part has over ${fieldsMax} header fields`)
      const { part, boundary } = makePart(scan.block, at, headerEnd, type)
      this.#path.at(-1)?.children.push(part)
      this.#path.push(part)
      if (part.kind === 'multipart') return this.#openMultipart(part, boundary)
      if (part.kind === 'leaf') return headerEnd
      at = headerEnd
      type = 'text/plain'
    }
  }

  #openMultipart(part: MimePart, boundary: string): number {
    if (boundary === '' || boundary.length > boundaryBytesMax)
      return this.#fail('a multipart has no usable boundary')
    const open = { part, boundary, shadowed: this.#byBoundary.get(boundary), depth: this.#path.length }
    this.#open.push(open)
    this.#byBoundary.set(boundary, open)
    this.#firstBytes[firstByte(boundary)]!++
    return part.bodyStart
  }

  /** Behind the blank line, or at the delimiter line (or end) that cuts the header short. */
  *#endOfHeader(start: number): Steps<number> {
    const content = this.#content
    for (let at = start; at < content.length; ) {
      if (content[at] === 0x0d && content[at + 1] === 0x0a) return at + 2
      if (at - start > headerBytesMax) return at
      if (this.#delimiterAt(at) !== undefined) return at
      if (++this.#lookups % lookupsPerStep === 0) yield
      const lineEnd = content.indexOf(lineEndBytes, at)
      if (lineEnd === -1) return content.length
      at = lineEnd + 2
    }
    return content.length
  }

  *#nextDelimiter(from: number): Steps<{ multipart: OpenMultipart; delimiter: Delimiter } | undefined> {
    if (this.#open.length === 0) return undefined
    // The first line of a body has its CRLF before it, in the header's blank line.
    for (let at = from; at < this.#content.length; ) {
      const found = this.#delimiterAt(at)
      if (found !== undefined) return found
      if (this.#why !== '') return undefined
      if (++this.#lookups % lookupsPerStep === 0) yield
      const next = this.#content.indexOf(dashes, at)
      if (next === -1) return undefined
      at = next + 2
    }
    return undefined
  }

  /** The delimiter line at `start`, the beginning of a line. */
  #delimiterAt(start: number): { multipart: OpenMultipart; delimiter: Delimiter } | undefined {
    const content = this.#content
    if (content[start] !== 0x2d || content[start + 1] !== 0x2d) return undefined
    if (this.#firstBytes[content[start + 2] ?? 0] === 0) return undefined
    const limit = Math.min(content.length, start + boundaryBytesMax + 100)
    const found = content.subarray(start, limit).indexOf(lineEndBytes)
    const lineEnd = found === -1 ? limit : start + found
    if (found === -1 && limit < content.length) return undefined
    const end = found === -1 ? limit : lineEnd + 2
    // Parameters are read as UTF-8, so the line is too. White space behind a boundary is padding.
    const text = trimBlanksEnd(content.toString('utf8', start + 2, lineEnd))
    const opening = this.#byBoundary.get(text)
    if (opening !== undefined) return { multipart: opening, delimiter: { start, end, isClosing: false } }
    const closing = text.endsWith('--') ? this.#byBoundary.get(text.slice(0, -2)) : undefined
    if (closing !== undefined) return { multipart: closing, delimiter: { start, end, isClosing: true } }
    if (++this.#vainLookups > vainLookupsMax)
      this.#fail(`over ${vainLookupsMax} of its lines look like delimiters and are none`)
    return undefined
  }

  /** Ends what the delimiter ends, begins what it begins; gives the offset to go on from. */
  *#takeDelimiter(multipart: OpenMultipart, delimiter: Delimiter): Steps<number> {
    // An empty body has no CRLF of its own to give to the delimiter.
    this.#closeDownTo(multipart.depth, delimiter.start)
    multipart.part.delimiters.push(delimiter)
    if (!delimiter.isClosing) {
      const isDigest = multipart.part.type === 'multipart/digest'
      return yield* this.#enterPart(delimiter.end, isDigest ? 'message/rfc822' : 'text/plain')
    }
    // Behind the closing line comes the epilogue, in which this boundary means nothing any more.
    this.#forget(multipart)
    return delimiter.end
  }

  /** Closes all nodes below `depth`; their bodies end before the line that starts at `lineStart`. */
  #closeDownTo(depth: number, lineStart: number): void {
    const isLine = depth > 0
    while (this.#path.length > depth) {
      const part = this.#path.pop()!
      part.bodyEnd = isLine ? Math.max(part.bodyStart, lineStart - 2) : lineStart
    }
    while (this.#open.length > 0 && this.#open.at(-1)!.depth > depth) this.#forget(this.#open.at(-1)!)
  }

  #forget(multipart: OpenMultipart): void {
    const at = this.#open.lastIndexOf(multipart)
    if (at !== -1) {
      this.#open.splice(at, 1)
      this.#firstBytes[firstByte(multipart.boundary)]!--
    }
    if (this.#byBoundary.get(multipart.boundary) !== multipart) return
    if (multipart.shadowed === undefined) this.#byBoundary.delete(multipart.boundary)
    else this.#byBoundary.set(multipart.boundary, multipart.shadowed)
  }

  #fail(why: string): number {
    this.#why = why
    return this.#content.length
  }
}

function firstByte(boundary: string): number {
  return Buffer.from(boundary.slice(0, 2))[0] ?? 0
}

function makePart(
  header: HeaderBlock,
  headerStart: number,
  bodyStart: number,
  defaultType: string,
): { part: MimePart; boundary: string } {
  const field = fieldsNamed(header, 'content-type')[0]
  const contentType = field === undefined ? null : parseContentType(fieldValue(field))
  const type = contentType === null ? defaultType : contentType.type
  const boundary = trimBlanksEnd(contentType?.params.get('boundary') ?? '')
  const encodingField = fieldsNamed(header, 'content-transfer-encoding')[0]
  const encoding = encodingField === undefined ? '7bit' : withoutComment(fieldValue(encodingField))
  const kind = partKind(type, encoding)
  const bounds = { headerStart, bodyStart, bodyEnd: bodyStart }
  const inside = kind === 'leaf' ? nothingInside : { children: [], delimiters: [] }
  return { part: { kind, type, encoding, ...bounds, ...inside }, boundary }
}

/** One for all leaves: nothing is ever put into it. */
const nothingInside: Pick<MimePart, 'children' | 'delimiters'> = { children: [], delimiters: [] }

function withoutComment(value: string): string {
  const comment = value.indexOf('(')
  return trimBlanks(comment === -1 ? value : value.slice(0, comment)).toLowerCase()
}

/** Encodings that leave the bytes as they are (RFC 2045 §6.2). */
export const identityEncodings: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary', ''])

/** Whether parts of that type hold parts. */
export function isComposite(type: string): boolean {
  return type.startsWith('multipart/') || type === 'message/rfc822' || type === 'message/news'
}

/**
 * A composite must not be encoded as a whole (RFC 2045 §6.4); one that says it is, is a leaf here, and can only be passed
 * as it is: the re-encoder sees to that.
 */
function partKind(type: string, encoding: string): MimePart['kind'] {
  if (!isComposite(type) || !identityEncodings.has(encoding)) return 'leaf'
  return type.startsWith('multipart/') ? 'multipart' : 'message'
}
