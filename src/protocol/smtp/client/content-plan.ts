// Decides how a content goes out: whole, in the write that also holds commands, or in blocks.
//
// Whole: checked (and stuffed for DATA) before anything is written, so that bad content costs the peer nothing.
// Parts that are known to be plain (`plainFrom`) are not looked at again.
// Blocks: checked block by block while sending, so that the event loop is never held for long; bad content then cuts the
// connection before the end of data, which tells the peer to forget it (RFC 5321 §4.1.1.4).

import { ContentScanner, contentFaultTexts, stuffed } from './content.ts'
import type { TransactionContent } from './transaction-types.ts'

/** Content ready to be written. `sizeBytes` is its length before stuffing. */
export type ContentPlan =
  | { readonly kind: 'whole'; readonly buffers: readonly Buffer[]; readonly sizeBytes: number }
  | {
      readonly kind: 'blocks'
      readonly source: AsyncIterable<Buffer> | Iterable<Buffer>
      readonly sizeBytes: number
    }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }

const LF = 0x0a
const CRLF: Buffer = Buffer.from('\r\n')

/** Plans `content`; `isStuffed` is true for DATA, false for BDAT. */
export function planContent(
  content: TransactionContent,
  isStuffed: boolean,
  blockBytes: number,
): ContentPlan {
  if ('stream' in content) return { kind: 'blocks', source: content.stream, sizeBytes: content.sizeBytes }
  const parts = withFinalLineEnd(content.parts)
  let sizeBytes = 0
  for (const part of parts) sizeBytes += part.length
  if (sizeBytes > blockBytes) return { kind: 'blocks', source: parts, sizeBytes }
  const scanner = new ContentScanner()
  const { plainFrom = parts.length } = content
  let buffers = parts
  for (let index = 0; index < parts.length; index++) {
    if (index === plainFrom && scanner.isAtLineStart) break
    const part = parts[index]!
    const isAtLineStart = scanner.isAtLineStart
    scanner.scan(part)
    if (!isStuffed || scanner.dots === 0) continue
    buffers = buffers.with(index, stuffed(part, isAtLineStart, scanner.dots))
  }
  scanner.finish()
  if (scanner.fault === null) return { kind: 'whole', buffers, sizeBytes }
  return { kind: 'refused', code: 'UNSAFE_CONTENT', message: contentFaultTexts[scanner.fault] }
}

function withFinalLineEnd(parts: readonly Buffer[]): readonly Buffer[] {
  const last = parts.findLast(part => part.length > 0)
  return last === undefined || last[last.length - 1] === LF ? parts : [...parts, CRLF]
}
