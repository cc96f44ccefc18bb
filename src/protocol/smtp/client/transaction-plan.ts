// Turns what the caller asks into commands, content and a mode for this peer, or refuses before anything is written.
//
// The mode is chosen here once, from what the peer offers and how long the content is; transaction-run.ts carries it out.
// A refusal leaves the connection as it was.

import type { PeerCapabilities } from './capabilities.ts'
import { planContent } from './content-plan.ts'
import { envelopeCommands } from './envelope.ts'
import type { ClientLimits } from './options.ts'
import type { FlightMode, TransactionPlan } from './transaction-run.ts'
import type { SmtpTransaction, TransactionFailure, TransactionResult } from './transaction-types.ts'

/** The plan, or the refusal. */
export function planTransaction(
  transaction: SmtpTransaction,
  peer: PeerCapabilities,
  limits: ClientLimits,
): TransactionPlan | TransactionFailure {
  const isChunked = peer.hasChunking
  const content = planContent(transaction.content, !isChunked, limits.blockBytes)
  if (content.kind === 'refused') return { ...content, kind: 'refused' }
  const envelope = envelopeCommands(transaction, content.sizeBytes, peer)
  if ('code' in envelope) return { kind: 'refused', code: envelope.code, message: envelope.message }
  const isSmall = content.kind === 'whole' && content.sizeBytes <= limits.singleFlightBytesMax
  const isSingle = isChunked && isSmall && transaction.isCautious !== true
  let mode: FlightMode = 'lockstep'
  if (peer.hasPipelining) mode = isSingle ? 'single' : 'grouped'
  return { transaction, envelope, content, mode, isChunked, blockBytes: limits.blockBytes }
}

/** The result of a transaction of which nothing was written. */
export function unsentResult(transaction: SmtpTransaction, failure: TransactionFailure): TransactionResult {
  const recipients = transaction.recipients.map(
    () => ({ stage: 'mail', reply: null, isAccepted: false, isUncertain: false }) as const,
  )
  return { recipients, isEndOfDataSent: false, failure }
}
