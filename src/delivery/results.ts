// Reads the results of a transaction: which recipients are done, and which go again without an attempt being counted.
//
// What came back                                  what follows
// 2xx to the end of data                          delivered
// no reply after the end of data                  deferred, uncertain: the peer may have it
// 421, no answer in time, or the connection lost  again at once (bounded), then deferred: it belongs to the host
//   before it
// the transaction as a whole took too long        deferred
// 452/552 "too many recipients" behind accepted   again in a further transaction
// 4xx "one domain at a time" behind accepted      again, each domain in a transaction of its own
// any other 4xx or 5xx                            classified, deferred or bounced
// never begun                                     again (bounded), then deferred
// refused by the client                           bounced: nothing was sent

import type { RecipientResult, TransactionFailure, TransactionResult } from '../protocol/smtp/client/index.ts'
import type { SmtpReply } from '../protocol/smtp/index.ts'
import type { LeasedMessage, LeasedRecipient } from '../queue/index.ts'
import type { Connection } from './connection.ts'
import { type LocalFailure, localFailures } from './local-failure.ts'
import { decidedHere, delivered, type RecipientOutcome, refusedByReply, replyText } from './outcome.ts'

/** Why recipients go again. */
export type AgainReason = 'split' | Surplus | 'connection-lost' | 'not-started'

/** A transaction takes no more recipients, or none of a further domain. */
type Surplus = 'too-many-recipients' | 'one-domain'

export interface ReadResults {
  readonly outcomes: readonly RecipientOutcome[]
  /** To be sent again at once; no attempt is counted. */
  readonly again: readonly LeasedRecipient[]
  readonly why: AgainReason | null
  /** The connection was gone before the peer said a word about some of them, whether they go again or not. */
  readonly lost: Loss | null
}

export interface Loss {
  readonly how: 'connection-lost' | 'not-started'
  /** DATA was answered or is what was waited for. */
  readonly isInData: boolean
}

export interface ReadContext {
  readonly message: LeasedMessage
  readonly connection: Connection
  readonly atMs: number
  readonly mayRerun: boolean
}

/** See the table at the head. Recipients and results stand in the same order. */
export function readResults(
  result: TransactionResult,
  recipients: readonly LeasedRecipient[],
  context: ReadContext,
): ReadResults {
  const outcomes: RecipientOutcome[] = []
  const again: LeasedRecipient[] = []
  let why: AgainReason | null = null
  let lost: ReadResults['lost'] = null
  let taken: RecipientResult | null = null
  for (let index = 0; index < recipients.length; index++) {
    const recipient = recipients[index]!
    const one = result.recipients[index]!
    const reason = againReason(one, result.failure, taken)
    if (one.stage !== 'rcpt' && one.stage !== 'mail') taken = one
    const isLost = reason === 'connection-lost' || reason === 'not-started'
    if (isLost) lost = { how: reason, isInData: isInData(one) }
    // The content left together with MAIL: the peer may have it, and yet the host has failed.
    else if (one.isUncertain && !isInData(one)) lost = { how: 'connection-lost', isInData: false }
    // Whoever was one too many goes for nothing only while the peer takes the others.
    const isSurplus = reason === 'too-many-recipients' || reason === 'one-domain'
    const isFree = isSurplus && result.failure === null
    if (reason === null || !(isFree || context.mayRerun)) {
      outcomes.push(outcomeOf(recipient, one, result.failure, context))
    } else {
      again.push(recipient)
      // What became of the connection says more than that they were too many.
      if (isLost || why === null) why = reason
    }
  }
  return { outcomes, again, why, lost }
}

/** @param taken somebody before it who was accepted */
function againReason(
  one: RecipientResult,
  failure: TransactionFailure | null,
  taken: RecipientResult | null,
): AgainReason | null {
  if (one.isAccepted || one.isUncertain) return null
  if (one.reply !== null) {
    const isGoodbye = failure?.kind === 'said-goodbye'
    const surplus = taken === null ? null : surplusOf(one, one.reply)
    // Those that were taken wait after 421 to the end of data: so do those that were one too many.
    if (surplus !== null) return isGoodbye && taken?.stage === 'eom' ? null : surplus
    if (!isGoodbye) return null
  }
  if (failure === null) return null
  if (failure.kind === 'not-started') return 'not-started'
  if (failure.kind === 'refused' || failure.kind === 'content') return null
  // A peer that took its hour and did not come to an end would take the next one, too.
  if (failure.code === 'TIMEOUT_TRANSACTION') return null
  // 421 to the end of data is the answer to the content; 421 before it is a word of the host.
  const isLostBefore = one.stage !== 'eom' && (one.reply === null || one.reply.code === 421)
  return isLostBefore ? 'connection-lost' : null
}

function isInData({ stage }: RecipientResult): boolean {
  return stage === 'data' || stage === 'content' || stage === 'eom'
}

/** Google's words, and those of Exchange Online. */
const oneDomainText = /multiple destination domains|address domain different from previous/i

/** What a refusal behind an accepted recipient says of the transaction, and not of this recipient. */
function surplusOf({ stage }: RecipientResult, reply: SmtpReply): Surplus | null {
  if (stage !== 'rcpt') return null
  const text = replyText(reply)
  // RFC 5321 §4.5.3.1.10: 552 to the n-th RCPT means the same as 452.
  const isFull = reply.code === 452 || reply.code === 552
  if (isFull && (reply.enhanced.endsWith('.5.3') || /too many recipients/i.test(text)))
    return 'too-many-recipients'
  return reply.code < 500 && oneDomainText.test(text) ? 'one-domain' : null
}

function outcomeOf(
  recipient: LeasedRecipient,
  one: RecipientResult,
  failure: TransactionFailure | null,
  { message, connection, atMs }: ReadContext,
): RecipientOutcome {
  const { reply } = one
  if (one.isAccepted && reply !== null) return delivered(recipient, reply, connection, atMs)
  if (reply !== null) return refusedByReply(recipient, message, { ...one, reply }, connection, atMs)
  return decidedHere(recipient, localFailureOf(one, failure), connection, atMs, one.isUncertain)
}

function localFailureOf(one: RecipientResult, failure: TransactionFailure | null): LocalFailure {
  if (failure === null) return localFailures.fault('a transaction ended without a reply and without a reason')
  if (failure.kind === 'refused') return localFailures.refused(failure.code, failure.message)
  if (failure.kind === 'content') {
    return failure.code === 'CONTENT_UNREADABLE'
      ? localFailures.fault(failure.message)
      : localFailures.refused(failure.code, failure.message)
  }
  const stage = isInData(one) ? 'data' : one.stage === 'mail' ? 'mail' : 'rcpt'
  return localFailures.connectionLost(failure.message, failure.kind === 'timeout', stage)
}
