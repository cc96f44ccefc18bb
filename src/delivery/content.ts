// The bytes of a batch's message: in memory, read whole, or streamed from the store when large.
//
// What is sent is prefix + content.

import type { TransactionContent } from '../protocol/smtp/client/index.ts'
import type { LeasedMessage, PrefixedMessage, QueueStore } from '../queue/index.ts'

/** Reads messages again. */
export type ContentReader = Pick<QueueStore, 'readPrefix' | 'readContent' | 'openContent'>

/** The message with its prefix, from the store when it is not in memory; null when it is gone. */
export function withPrefix(message: LeasedMessage, reader: ContentReader): PrefixedMessage | null {
  const prefix = message.prefix ?? reader.readPrefix(message.key)
  return prefix === null ? null : { ...message, prefix }
}

/** Content from memory, behind the message's prefix. */
export function contentInMemory(
  prefix: Buffer,
  isPlain: boolean | undefined,
  content: readonly Buffer[],
): TransactionContent {
  const parts = prefix.length === 0 ? content : [prefix, ...content]
  return isPlain === true ? { parts, plainFrom: parts.length - content.length } : { parts }
}

/** Content from the store, whole or as a stream; null when it is gone. */
export async function contentFromStore(
  message: PrefixedMessage,
  reader: ContentReader,
  isWhole: boolean,
): Promise<TransactionContent | null> {
  if (!isWhole) {
    return { stream: prefixed(message, reader), sizeBytes: message.prefix.length + message.content.sizeBytes }
  }
  const content = await reader.readContent(message.key, message.content)
  return content === null ? null : contentInMemory(message.prefix, message.isPlain, [content])
}

async function* prefixed(message: PrefixedMessage, reader: ContentReader): AsyncGenerator<Buffer> {
  if (message.prefix.length > 0) yield message.prefix
  yield* reader.openContent(message.key, message.content)
}

/** The content without prefix as one buffer; null when it is gone. */
export async function wholeContent(
  message: LeasedMessage,
  content: readonly Buffer[] | null,
  reader: ContentReader,
): Promise<Buffer | null> {
  if (content === null) return reader.readContent(message.key, message.content)
  return content.length === 1 ? content[0]! : Buffer.concat(content)
}

/** At most the first `sizeBytesMax` bytes of the content; null when it is gone. */
export async function contentHead(
  message: LeasedMessage,
  content: readonly Buffer[] | null,
  reader: ContentReader,
  sizeBytesMax: number,
): Promise<Buffer | null> {
  if (content !== null || message.content.sizeBytes <= sizeBytesMax) {
    return (await wholeContent(message, content, reader))?.subarray(0, sizeBytesMax) ?? null
  }
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of reader.openContent(message.key, message.content)) {
    chunks.push(chunk)
    sizeBytes += chunk.length
    if (sizeBytes >= sizeBytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, sizeBytesMax)
}
