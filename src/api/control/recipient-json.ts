// The JSON forms of waiting recipients: rows of `queue list` and of `message show`.
//
// Invariant: every waiting recipient says why it waits, in the closed set of the queue and in a sentence.

import { formatMessageId } from '../../base/index.ts'
import { instant, type OutcomeJson, outcomeJson, unpackOutcome } from '../../events/index.ts'
import type { QueueRow, WaitReason } from '../../queue/index.ts'

/** Why a recipient waits. */
export interface WaitReasonJson {
  readonly reason: WaitReason
  /** A sentence for people. */
  readonly detail: string
}

/** A row of `queue list`. */
export interface QueueRowJson {
  /** `msg_….n` */
  readonly recipientId: string
  readonly messageId: string
  readonly forwardPath: string
  readonly state: QueueRow['state']
  readonly attempts: number
  /** RFC 3339; null when leased or held. */
  readonly nextAttemptAt: string | null
  readonly waitReasons: readonly WaitReasonJson[]
  /** The last one, with the beginning of its text; null before the first attempt has ended. */
  readonly outcome: OutcomeJson | null
}

/** A recipient in `message show`; `state` of a final one is the kind of its outcome. */
export interface RecipientJson {
  readonly id: string
  readonly forwardPath: string
  readonly state: string
  readonly attempts: number
  readonly nextAttemptAt: string | null
  readonly waitReasons: readonly WaitReasonJson[]
  /** The last one; null before the first attempt has ended. */
  readonly outcome: OutcomeJson | null
}

/** A page has up to a thousand rows; `message show` has the whole text. */
const rowTextCharactersMax = 300

const details: Readonly<Record<WaitReason, string>> = {
  'first-attempt': 'waits for its first attempt',
  'next-attempt': 'waits for its next attempt',
  ready: 'in the ready queue or in flight',
  'site-unreachable': 'no host of the site took a connection; waits for its next attempt',
  'held-by-operator': 'held by the operator; postrider queue release lets it go',
  'held-by-restore': 'held since a restore; postrider queue release lets it go',
  released: 'released, due now',
  'retry-requested': 'an attempt was asked for, due now',
  unsigned: 'could not be signed, and is not sent unsigned; waits for its next attempt',
  'ready-queue-full': 'the ready queue was full; waits for its first attempt',
}

/** The JSON form of a queue row. */
export function queueRowJson(row: QueueRow): QueueRowJson {
  const { id, outcome, ...rest } = openRecipientJson(row)
  return {
    recipientId: id,
    messageId: formatMessageId(row.messageId),
    ...rest,
    state: row.state,
    outcome: outcome === null ? null : { ...outcome, text: beginning(outcome.text) },
  }
}

/** A recipient that is still in the queue. */
export function openRecipientJson(row: QueueRow): RecipientJson {
  const { forwardPath, state, attempts } = row
  return {
    id: `${formatMessageId(row.messageId)}.${row.recipientNumber}`,
    forwardPath,
    state,
    attempts,
    nextAttemptAt: nextAttemptAt(row),
    waitReasons: waitReasons(row),
    outcome: lastOutcome(row.lastOutcome),
  }
}

function beginning(text: string): string {
  return text.length > rowTextCharactersMax ? `${text.slice(0, rowTextCharactersMax)}…` : text
}

function lastOutcome(packed: Buffer | null): OutcomeJson | null {
  if (packed === null || packed.length === 0) return null
  try {
    return outcomeJson(unpackOutcome(packed))
  } catch {
    // A damaged row hides its last outcome, not the recipient.
    return null
  }
}

function nextAttemptAt(row: QueueRow): string | null {
  return row.state !== 'scheduled' || row.nextAttemptAtMs === 0 ? null : instant(row.nextAttemptAtMs)
}

function waitReasons(row: QueueRow): WaitReasonJson[] {
  const next = nextAttemptAt(row)
  let detail = details[row.reason]
  if (next !== null) detail += `, at ${next}`
  if (row.note !== '') detail += `: ${row.note}`
  return [{ reason: row.reason, detail }]
}
