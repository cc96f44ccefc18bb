// Sends a long content block by block, each one checked, stuffed and taken by the socket before the next.
//
// 1. For each block: check it, refuse more bytes than were announced, stuff it (DATA), write it, wait while the socket
//    is full; to a peer that reads as fast as we write it never is, and then we give way of ourselves.
// 2. The end of data (the final dot, or the last block of the BDAT chunk) is written only after everything was found good
//    and the source has nothing more: until then the last block is held back.
// Invariant: a content that is bad, too long or too short never gets an end of data.

import { Pacer } from '../../mail/index.ts'
import { ContentScanner, contentFaultTexts, stuffed } from './content.ts'
import type { ConnectionEnd, SmtpWire } from './wire.ts'

/** What the sender needs from the transaction. */
export interface BlockSending {
  readonly source: AsyncIterable<Buffer> | Iterable<Buffer>
  readonly sizeBytes: number
  readonly blockBytes: number
  /** True for DATA, false for one BDAT chunk of `sizeBytes`. */
  readonly isDotStuffed: boolean
  readonly wire: SmtpWire
  /** False when the transaction was settled meanwhile: stop. */
  isWanted(): boolean
  /** A block or the end of data was written: the deadline starts again. */
  onProgress(): void
  /** The next write holds the end of data. */
  onEndOfData(): void
}

/** Sends all; null when done or no longer wanted, else why the connection must be cut. */
export async function sendBlocks(sending: BlockSending): Promise<ConnectionEnd | null> {
  const { wire, isDotStuffed, sizeBytes } = sending
  const scanner = new ContentScanner()
  const pacer = new Pacer()
  let sentBytes = 0
  let last: Buffer | null = null
  try {
    for await (const chunk of sending.source) {
      for (let at = 0; at < chunk.length; at += sending.blockBytes) {
        if (!sending.isWanted()) return null
        const block = chunk.subarray(at, at + sending.blockBytes)
        sentBytes += block.length
        const isAtLineStart = scanner.isAtLineStart
        scanner.scan(block)
        if (sentBytes === sizeBytes) scanner.finish()
        const end = contentEnd(scanner, sentBytes > sizeBytes)
        if (end !== null) return end
        if (!isDotStuffed && sentBytes === sizeBytes) {
          last = block
          continue
        }
        wire.writeBytes(
          isDotStuffed && scanner.dots > 0 ? stuffed(block, isAtLineStart, scanner.dots) : block,
        )
        sending.onProgress()
        await wire.drained()
        if (pacer.isDue) await pacer.pause()
      }
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { kind: 'content', code: 'CONTENT_UNREADABLE', message: `the content could not be read: ${why}` }
  }
  if (!sending.isWanted()) return null
  if (sentBytes !== sizeBytes) return contentEnd(scanner, true)
  if (isDotStuffed) {
    sending.onEndOfData()
    wire.write(scanner.isAtLineStart ? '.\r\n' : '\r\n.\r\n', 'latin1')
  } else if (last !== null) {
    sending.onEndOfData()
    wire.writeBytes(last)
  }
  if (sending.isWanted()) sending.onProgress()
  return null
}

function contentEnd(scanner: ContentScanner, isWrongLength: boolean): ConnectionEnd | null {
  if (scanner.fault !== null) {
    return { kind: 'content', code: 'UNSAFE_CONTENT', message: contentFaultTexts[scanner.fault] }
  }
  if (!isWrongLength) return null
  return { kind: 'content', code: 'CONTENT_LENGTH', message: 'the content has another length than announced' }
}
