// What waits keeps its own bytes in memory, and not those that they came with.
//
// Place on the path: beside what waits, once a second. Id, prefix and content of a message just accepted are views into
// memory that they share with others: what a client sent in one go, and the pool from which Node cuts small buffers. While
// nearly all leave at once that costs nothing; but one message in ten that waits would keep the memory of all ten alive,
// and the bounds of the ready queue count only its own. So whoever still waits at a tick is copied, once a message. What
// was leased from the store has memory of its own from the start (reply-codec.ts).
// Invariant: a batch is changed here only while it waits.

import type { LeasedMessage } from '../queue/index.ts'
import type { DeliveryBatch, OwnBytes } from './delivery-batch.ts'

/** Copied at one tick: a few milliseconds. All that may be ready is copied within seconds. */
const copiedBytesPerTick = 8 * 1024 * 1024
/** What a message counts beside its bytes. */
const messageBytes = 4096

/** One tick's copying: call it with each batch that waits. */
export function ownBytesTick(): (batch: DeliveryBatch) => void {
  let leftBytes = copiedBytesPerTick
  return batch => {
    const { message, content, inHand } = batch
    const { prefix } = message
    if (prefix === null || inHand.own?.message === message || leftBytes <= 0) return
    if (inHand.own === null) {
      inHand.own = copied(message, prefix, content)
      leftBytes -= messageBytes + prefix.length + inHand.contentBytes
    }
    batch.message = inHand.own.message
    batch.content = inHand.own.content
  }
}

/** All in one piece: an ArrayBuffer costs far more than the few bytes of an id. */
function copied(message: LeasedMessage, prefix: Buffer, content: readonly Buffer[] | null): OwnBytes {
  const { id } = message
  const pieces = [id, prefix, ...(content ?? [])]
  let sizeBytes = 0
  for (const piece of pieces) sizeBytes += piece.length
  const memory = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  for (const piece of pieces) at += piece.copy(memory, at)
  const contentAt = id.length + prefix.length
  return {
    message: { ...message, id: memory.subarray(0, id.length), prefix: memory.subarray(id.length, contentAt) },
    content: content === null ? null : [memory.subarray(contentAt)],
  }
}
