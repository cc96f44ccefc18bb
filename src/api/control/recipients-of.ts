// The recipients of a message, put together from the queue's rows and the event log.
//
// A recipient with a row is shown by its row. One without has ended: its last final event tells how. A recipient that
// has neither (its row ended between two reads) is shown with what the log says last.

import {
  factsOfType,
  isFinal,
  type Outcome,
  outcomeJson,
  type StoredEvent,
  unpackOutcomeFacts,
} from '../../events/index.ts'
import type { QueueRow } from '../../queue/index.ts'
import { openRecipientJson, type RecipientJson } from './recipient-json.ts'

interface Told {
  readonly forwardPath: string
  readonly attempts: number
  readonly outcome: Outcome
}

/**
 * Recipients in the order of their numbers.
 * @param forwardPaths of the `accepted` event
 * @param events of this message, oldest first
 */
export function recipientsOf(
  messageId: string,
  forwardPaths: readonly string[],
  open: readonly QueueRow[],
  events: readonly StoredEvent[],
): RecipientJson[] {
  const recipients = new Map<number, RecipientJson>()
  for (const row of open) recipients.set(row.recipientNumber, openRecipientJson(row))
  const told = lastOutcomes(events)
  for (const [number, last] of told) {
    if (recipients.has(number) && !isFinal(last.outcome.kind)) continue
    recipients.set(number, closedRecipient(messageId, number, last))
  }
  forwardPaths.forEach((forwardPath, number) => {
    if (recipients.has(number)) return
    const id = `${messageId}.${number}`
    recipients.set(number, {
      id,
      forwardPath,
      state: 'scheduled',
      attempts: 0,
      nextAttemptAt: null,
      waitReasons: [],
      outcome: null,
    })
  })
  return [...recipients].sort(([a], [b]) => a - b).map(([, recipient]) => recipient)
}

function closedRecipient(
  messageId: string,
  number: number,
  { forwardPath, attempts, outcome }: Told,
): RecipientJson {
  return {
    id: `${messageId}.${number}`,
    forwardPath,
    state: outcome.kind,
    attempts,
    nextAttemptAt: null,
    waitReasons: [],
    outcome: outcomeJson(outcome),
  }
}

/** The last outcome of each recipient; the highest attempt counts, since a decision of ours carries none. */
function lastOutcomes(events: readonly StoredEvent[]): Map<number, Told> {
  const told = new Map<number, Told>()
  for (const event of events) {
    if (event.recipientNumber < 0 || factsOfType[event.type] !== 'outcome') continue
    try {
      const { forwardPath, attempt, outcome } = unpackOutcomeFacts(event.facts)
      const attempts = Math.max(attempt, told.get(event.recipientNumber)?.attempts ?? 0)
      told.set(event.recipientNumber, { forwardPath, attempts, outcome })
    } catch {
      // A damaged event tells nothing; the others do.
    }
  }
  return told
}
