// What the ready queue holds: recipients of one message that leave by one path in one go.
//
// A batch shares its message's content and sent reverse-path; a transaction may take fewer recipients than it has.

import type { LeasedMessage, LeasedRecipient } from '../message.ts'

/** Recipients of one message for one egress path. */
export interface ReadyBatch {
  readonly message: LeasedMessage
  /** At least one. */
  readonly recipients: readonly LeasedRecipient[]
  /** The content without prefix while it is in memory (just accepted); null: read it from the store. */
  readonly content: readonly Buffer[] | null
  /** Times it was put back without an attempt being counted; bounded by its user. */
  readonly reruns: number
}
