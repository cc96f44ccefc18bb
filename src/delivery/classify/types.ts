// The words of classification: what a reply means (category) and whom it speaks of (scope).
//
// Place on the path: attempt ▶ CLASSIFY ▶ outcome. Only replies other than 2xx are classified.

import type { OutcomeScope, OutcomeStage } from '../../events/index.ts'

/** What a failure means, with the scope it usually has. The closed set behind `outcome.category`. */
export type Category =
  // recipient
  | 'unknown-recipient'
  | 'mailbox-disabled'
  | 'mailbox-full'
  | 'recipient-rate'
  | 'recipient-policy'
  // domain of the recipient
  | 'unknown-domain'
  | 'domain-takes-no-mail'
  | 'relay-denied'
  | 'routing'
  | 'loop'
  | 'dns-failure'
  | 'connect-failed'
  | 'connection-lost'
  | 'timeout'
  | 'tls'
  | 'server-busy'
  | 'server-fault'
  // our address
  | 'greylisted'
  | 'rate-limited'
  | 'too-many-connections'
  | 'reputation'
  | 'blocklisted'
  | 'reverse-dns'
  // content
  | 'spam-content'
  | 'virus'
  | 'bad-link'
  | 'attachment-refused'
  | 'message-too-large'
  | 'malformed-message'
  | 'encoding'
  // sender
  | 'authentication'
  | 'sender-refused'
  | 'policy'
  // transaction and configuration
  | 'too-many-recipients'
  | 'credentials'
  | 'protocol'
  | 'expired'
  | 'other'

/** A reply to be classified. */
export interface ClassifyInput {
  readonly code: number
  /** Enhanced status code, '' when the peer gave none. */
  readonly enhanced: string
  /** The reply's text; only its first 2,000 characters are looked at. */
  readonly text: string
  /** Name of the operator of the remote site (the provider table's), '' when unknown. */
  readonly site: string
  readonly stage: OutcomeStage
}

/** What a reply means. */
export interface Classification {
  readonly category: Category
  readonly scope: OutcomeScope
  /** The rule that decided, for `bounce classify` and for reports about the table. */
  readonly ruleId: string
  /** The peer said 5xx and means "later": the recipient is deferred, not bounced. */
  readonly isTemporary: boolean
}

/** When a rule applies: everything that is given must hold. */
export interface RuleCondition {
  /** Operators whose reply this is; never applies to an unknown one. */
  readonly site?: readonly string[]
  readonly stage?: readonly OutcomeStage[]
  /** A code, or 4 or 5 for the whole class. */
  readonly code?: number | readonly number[]
  readonly enhanced?: RegExp
  /** No nested repetition, no unbounded wildcards: linear in the text. */
  readonly text?: RegExp
}

/** One rule with replies that it must win. */
export interface Rule {
  readonly id: string
  readonly when: RuleCondition
  readonly category: Category
  /** `recipient`: asked only for replies to RCPT and behind it; `content`: for replies to MAIL and behind it. */
  readonly scope: OutcomeScope
  readonly isTemporary?: true
  /** Replies as on the wire: `550 5.1.1 text`. The table's test sends each through all rules. */
  readonly samples: readonly string[]
}
