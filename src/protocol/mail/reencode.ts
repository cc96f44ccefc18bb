// Makes a content fit for a transport that it does not fit: 8-bit bodies for a peer without 8BITMIME, or lines
// over 998 bytes (RFC 5321 §4.5.3.1.6, RFC 6152 §3).
//
// Place on the path: submission (long_lines = "encode") and delivery (peer lacks 8BITMIME); the result must be
// hashed and signed anew. How it goes:
//   1. find the parts (mime-tree.ts);
//   2. look at every part and note what has to change; anything that must not be changed ends it with a value;
//   3. write the content again: untouched stretches as they are, changed leaves as quoted-printable (text) or
//      base64 in lines of 76, changed headers with the new Content-Transfer-Encoding.
// Invariants: decoding the new parts gives the bytes of the old ones; never changed are multipart/signed, the body of a
// composite that says it is encoded as a whole, and a part whose header has a line that is no field; only
// text that readers do not see (preamble, epilogue) is dropped when it does not fit; linear time, in steps of well under
// a millisecond but for single passes of native code over the whole.

import { isAscii, isUtf8 } from 'node:buffer'
import { foldField } from './fold.ts'
import { GatheredPieces, type PieceSink } from './gathered.ts'
import { countFields, fieldBytes } from './header-block.ts'
import {
  headerBytesOf,
  headerOf,
  identityEncodings,
  isComposite,
  type MimePart,
  parseMimeSteps,
} from './mime-tree.ts'
import { runAtOnce, type Steps } from './steps.ts'
import {
  decodeQuotedPrintableSteps,
  encodeBase64Into,
  encodeQuotedPrintableInto,
  rewrapBase64Into,
} from './transfer-encoding.ts'

/** What the content must be rid of. */
export interface ReencodeMode {
  readonly reason: 'eightbit' | 'longlines'
  /** Longest line that may stay, without its CRLF; default 998. */
  readonly lineBytesMax?: number
}

/**
 * So many contents of a thread at a time: the tree of one takes up to 2 MB, however small the content. More at once would
 * be no faster.
 */
export const reencodingsAtOnce = 4

/** The new content, or why there is none. */
export type ReencodeResult<Body = Buffer> =
  | { readonly kind: 'unchanged' }
  /** `header` ends in the blank line; header and body together are the content. */
  | { readonly kind: 'reencoded'; readonly header: Buffer; readonly body: Body }
  | {
      readonly kind: 'impossible'
      readonly reason: 'headers-need-smtputf8' | 'header-line-too-long' | 'signed' | 'structure' | 'encoding'
      readonly why: string
    }

type Impossible = Extract<ReencodeResult, { kind: 'impossible' }>

/** As the result of the steps: the body in pieces, since it may be three times as large as it was. */
export type ReencodedPieces = ReencodeResult<readonly Buffer[]>

/** Re-encodes a whole content (header, blank line, body) in one go. */
export function reencode(content: Buffer, mode: ReencodeMode): ReencodeResult {
  const result = runAtOnce(reencodeSteps(content, mode))
  return result.kind === 'reencoded' ? { ...result, body: Buffer.concat(result.body) } : result
}

/** As `reencode`, to be run in slices: for contents of any size. */
export function* reencodeSteps(content: Buffer, mode: ReencodeMode): Steps<ReencodedPieces> {
  const tree = yield* parseMimeSteps(content)
  if (tree.kind === 'unclear')
    return impossible('structure', `the MIME structure cannot be followed: ${tree.why}`)
  return yield* new Reencoder(content, mode).run(tree.root)
}

function impossible(reason: Impossible['reason'], why: string): Impossible {
  return { kind: 'impossible', reason, why }
}

class Reencoder {
  readonly #content: Buffer
  readonly #isEightBitMode: boolean
  readonly #lineBytesMax: number
  /** Parts that change, themselves or inside. */
  readonly #touched = new Set<MimePart>()
  /** Leaves whose body is encoded anew. */
  readonly #encoded = new Set<MimePart>()

  constructor(content: Buffer, mode: ReencodeMode) {
    this.#content = content
    this.#isEightBitMode = mode.reason === 'eightbit'
    this.#lineBytesMax = mode.lineBytesMax ?? 998
  }

  *run(root: MimePart): Steps<ReencodedPieces> {
    const fault = yield* this.#inspect(root)
    if (fault !== undefined) return fault
    if (!this.#touched.has(root)) return { kind: 'unchanged' }
    const pieces = new GatheredPieces()
    yield* this.#writeBody(root, pieces)
    return { kind: 'reencoded', header: this.#newHeader(root, true), body: pieces.end() }
  }

  /** Notes what has to change in the part and below; gives the reason when something must but cannot. */
  *#inspect(part: MimePart): Steps<Impossible | undefined> {
    yield
    let isTouched = false
    if (this.#misfits(headerBytesOf(this.#content, part))) {
      const fault = this.#headerFault(part)
      if (fault !== undefined) return fault
      isTouched = true
    }
    if (part.kind === 'leaf') {
      const body = this.#content.subarray(part.bodyStart, part.bodyEnd)
      if (this.#misfits(body)) {
        const fault = leafFault(part)
        if (fault !== undefined) return fault
        this.#encoded.add(part)
        isTouched = true
      }
    } else if (part.kind === 'multipart') {
      if (outsideStretches(part).some(([start, end]) => this.#misfits(this.#content.subarray(start, end)))) {
        if (part.children.length === 0)
          return impossible('structure', 'a multipart has no parts but text to encode')
        isTouched = true
      }
    }
    for (const child of part.children) {
      const fault = yield* this.#inspect(child)
      if (fault !== undefined) return fault
      isTouched ||= this.#touched.has(child)
    }
    if (!isTouched) return undefined
    if (part.type === 'multipart/signed') {
      return impossible(
        'signed',
        'a signed part (multipart/signed) must not be changed; send it as 7-bit lines',
      )
    }
    // Many readers end the header at such a line: fields behind it, new ones among them, would be text to them. The
    // header of the content itself has been looked at by the door.
    if (part.headerStart > 0 && headerOf(this.#content, part).fields.some(field => field.name === '')) {
      return impossible(
        'structure',
        'a header line of a part is no field (name: value); write an empty line between its header and its text',
      )
    }
    this.#touched.add(part)
    return undefined
  }

  #misfits(bytes: Buffer): boolean {
    if (this.#isEightBitMode && !isAscii(bytes)) return true
    return hasLongLine(bytes, this.#lineBytesMax)
  }

  #headerFault(part: MimePart): Impossible | undefined {
    const header = headerOf(this.#content, part)
    if (this.#isEightBitMode && !header.isAscii) {
      return impossible(
        'headers-need-smtputf8',
        'a header has characters outside of US-ASCII; encode them (RFC 2047, in file names RFC 2231)',
      )
    }
    for (const field of header.fields) {
      if (foldField(fieldBytes(field), this.#lineBytesMax) !== undefined) continue
      const name = JSON.stringify(field.name)
      return impossible(
        'header-line-too-long',
        `the field ${name} has over ${this.#lineBytesMax} bytes without a space`,
      )
    }
    return undefined
  }

  *#write(part: MimePart, pieces: PieceSink): Steps<void> {
    yield
    if (!this.#touched.has(part)) {
      pieces.push(this.#content.subarray(part.headerStart, part.bodyEnd))
      return
    }
    pieces.push(this.#newHeader(part, false))
    yield* this.#writeBody(part, pieces)
  }

  *#writeBody(part: MimePart, pieces: PieceSink): Steps<void> {
    const content = this.#content
    if (part.kind === 'leaf') {
      const body = content.subarray(part.bodyStart, part.bodyEnd)
      const isLast = part.bodyEnd === content.length
      if (this.#encoded.has(part)) yield* encodeLeaf(part, body, isLast, pieces)
      else pieces.push(body)
    } else if (part.kind === 'message') {
      for (const child of part.children) yield* this.#writeChildContent(child, pieces)
    } else yield* this.#writeMultipart(part, pieces)
  }

  /** The content inside a message part: a root of its own. */
  *#writeChildContent(child: MimePart, pieces: PieceSink): Steps<void> {
    if (this.#touched.has(child)) {
      pieces.push(this.#newHeader(child, true))
      yield* this.#writeBody(child, pieces)
    } else yield* this.#write(child, pieces)
  }

  *#writeMultipart(part: MimePart, pieces: PieceSink): Steps<void> {
    const content = this.#content
    this.#writeFitting(part.bodyStart, part.delimiters[0]?.start ?? part.bodyEnd, pieces)
    for (const [i, delimiter] of part.delimiters.entries()) {
      pieces.push(content.subarray(delimiter.start, delimiter.end))
      const child = part.children[i]
      const next = part.delimiters[i + 1]?.start ?? part.bodyEnd
      if (child === undefined) {
        this.#writeFitting(delimiter.end, part.bodyEnd, pieces)
        continue
      }
      yield* this.#write(child, pieces)
      // The CRLF that belongs to the next delimiter line.
      pieces.push(content.subarray(child.bodyEnd, next))
    }
  }

  /** Preamble and epilogue: readers ignore them, so what does not fit is left out. */
  #writeFitting(start: number, end: number, pieces: PieceSink): void {
    const text = this.#content.subarray(start, end)
    if (!this.#misfits(text)) pieces.push(text)
  }

  /** The header of a changed part: long lines folded, the encoding put right, what is missing added. */
  #newHeader(part: MimePart, isRoot: boolean): Buffer {
    const pieces: Buffer[] = []
    const header = headerOf(this.#content, part)
    const encoding = this.#newEncoding(part)
    let isEncodingWritten = false
    for (const field of header.fields) {
      const isEncoding = field.name === 'content-transfer-encoding'
      // Of several the first one counts, as in the tree; another would be read differently by somebody.
      if (isEncoding && isEncodingWritten) continue
      isEncodingWritten ||= isEncoding
      if (isEncoding && encoding !== part.encoding)
        pieces.push(Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`))
      else pieces.push(foldField(fieldBytes(field), this.#lineBytesMax) ?? fieldBytes(field))
    }
    if (this.#encoded.has(part)) {
      if (isRoot && countFields(header, 'mime-version') === 0)
        pieces.push(Buffer.from('MIME-Version: 1.0\r\n'))
      if (countFields(header, 'content-type') === 0) pieces.push(this.#defaultTypeField(part))
      if (!isEncodingWritten) pieces.push(Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`))
    }
    pieces.push(Buffer.from('\r\n'))
    return Buffer.concat(pieces)
  }

  #newEncoding(part: MimePart): string {
    if (this.#encoded.has(part)) return leafEncoding(part)
    // What was declared as 8-bit has been made 7-bit by now, all the way down.
    return this.#isEightBitMode && identityEncodings.has(part.encoding) ? '7bit' : part.encoding || '7bit'
  }

  /** A part that says nothing is text/plain; the charset is told where the bytes tell it (RFC 1428 §3). */
  #defaultTypeField(part: MimePart): Buffer {
    const body = this.#content.subarray(part.bodyStart, part.bodyEnd)
    return Buffer.from(`Content-Type: text/plain; charset=${isUtf8(body) ? 'utf-8' : 'unknown-8bit'}\r\n`)
  }
}

/** Why a leaf cannot be encoded, if it cannot. */
function leafFault(part: MimePart): Impossible | undefined {
  const { encoding, type } = part
  const isIdentity = identityEncodings.has(encoding)
  if (isComposite(type) && !isIdentity) {
    // Readers go by the delimiters and pay no heed to the encoding; encoded anew, there would be none.
    const what = type.startsWith('multipart/') ? 'multipart' : type
    return impossible(
      'structure',
      `a ${what} has the transfer encoding ${JSON.stringify(encoding)}, which only what is in it may have; leave that field out`,
    )
  }
  const isKnown = isIdentity || encoding === 'base64' || encoding === 'quoted-printable'
  if (!isKnown)
    return impossible('encoding', `a part has the unknown transfer encoding ${JSON.stringify(encoding)}`)
  if (type === 'message/partial' || type === 'message/external-body') {
    return impossible('encoding', `a part of type ${type} must be 7-bit and cannot be encoded`)
  }
  return undefined
}

/** Text stays readable; so do message/* leaves, which are fields and text (RFC 3464, RFC 6533). */
function leafEncoding(part: MimePart): string {
  if (!identityEncodings.has(part.encoding)) return part.encoding
  const { type } = part
  return type === '' || type.startsWith('text/') || type.startsWith('message/')
    ? 'quoted-printable'
    : 'base64'
}

function* encodeLeaf(part: MimePart, body: Buffer, isLast: boolean, pieces: PieceSink): Steps<void> {
  if (leafEncoding(part) === 'quoted-printable') {
    const isEncoded = part.encoding === 'quoted-printable'
    yield* encodeQuotedPrintableInto(pieces, isEncoded ? yield* decodeQuotedPrintableSteps(body) : body)
    return
  }
  yield* part.encoding === 'base64' ? rewrapBase64Into(pieces, body) : encodeBase64Into(pieces, body)
  // A content ends in CRLF; inside a multipart the CRLF belongs to the delimiter.
  if (isLast) pieces.push(lineEndBytes)
}

/** Preamble and epilogue of a multipart, as offsets. */
function outsideStretches(part: MimePart): [number, number][] {
  const first = part.delimiters[0]
  const last = part.delimiters.at(-1)
  if (first === undefined || last === undefined) return [[part.bodyStart, part.bodyEnd]]
  const preamble: [number, number] = [part.bodyStart, first.start]
  return last.isClosing ? [preamble, [last.end, part.bodyEnd]] : [preamble]
}

const lineEndBytes = Buffer.from('\r\n')

/** Whether a line (without CRLF) is longer than `max`: looks only where a line could be too long. */
function hasLongLine(bytes: Buffer, max: number): boolean {
  let start = 0
  while (bytes.length - start > max) {
    // A line end in the window lets the last one in it be the next start: few searches even for short lines.
    const end = bytes.subarray(start, start + max + 2).lastIndexOf(lineEndBytes)
    if (end === -1) return true
    start += end + 2
  }
  return false
}
