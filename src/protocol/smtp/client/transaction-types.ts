// The vocabulary of one transaction: what the caller asks for and what came of it.
//
// A transaction is one content for many recipients; each recipient gets a result of its own, in the order asked.
// Everything is a value: no refusal, drop or timeout throws.

import type { SmtpReply } from '../reply.ts'
import type { ConnectionEnd } from './wire.ts'

/** One recipient of a transaction. */
export interface TransactionRecipient {
  /** Address without brackets. */
  readonly forwardPath: string
  /** RFC 3461 NOTIFY; an empty list means NEVER. Sent only when the peer offers DSN. */
  readonly notify?: readonly ('SUCCESS' | 'FAILURE' | 'DELAY')[]
  /** RFC 3461 ORCPT, decoded. Sent only when the peer offers DSN. */
  readonly originalRecipient?: { readonly type: string; readonly address: string }
}

/**
 * The bytes to send: known at once, or as a stream of known length. Lines end in CRLF. Content without a CRLF at its end
 * gets one (not with a stream sent by BDAT). A stream of another length than it said cuts the connection.
 */
export type TransactionContent =
  | {
      readonly parts: readonly Buffer[]
      /**
       * Index of the first part from which on the bytes are known to be plain: they begin a line, have CRLF line ends
       * only and no NUL, and no line begins with a dot. They are sent without another look. Default: none.
       */
      readonly plainFrom?: number
    }
  | { readonly stream: AsyncIterable<Buffer>; readonly sizeBytes: number }

/** One MAIL, its RCPTs and its content. */
export interface SmtpTransaction {
  /** Address without brackets; '' is the null reverse-path. */
  readonly reversePath: string
  readonly recipients: readonly TransactionRecipient[]
  readonly parameters: {
    /** The content has bytes above 127: needs 8BITMIME. */
    readonly isEightBit: boolean
    /** Paths or headers are UTF-8: needs SMTPUTF8. */
    readonly isSmtpUtf8: boolean
    /** RFC 3461 RET and ENVID (decoded, at most 100 characters); sent only when the peer offers DSN. */
    readonly ret?: 'FULL' | 'HDRS'
    readonly envelopeId?: string
  }
  readonly content: TransactionContent
  /** The content leaves only once a recipient was accepted, also where it could go in the first write. Default false. */
  readonly isCautious?: boolean
  /** Asked when its turn has come, before anything of it is written; false: it ends as `not-started`. Default: it may. */
  readonly mayStart?: () => boolean
  /** Called synchronously right before the write that holds the end of data. */
  readonly beforeEnd?: () => void
}

/** How far a transaction had come: `content` is before the end of data was sent, `eom` after it. */
export type TransactionStage = 'mail' | 'rcpt' | 'data' | 'content' | 'eom'

/** What the peer said about one recipient. */
export interface RecipientResult {
  /** The stage the reply belongs to, or at which no reply came. */
  readonly stage: TransactionStage
  /** Null when none was read. */
  readonly reply: SmtpReply | null
  /** True when the peer took responsibility: a 2xx reply to the end of data. */
  readonly isAccepted: boolean
  /** True when the end of data was sent and no complete reply was read: the peer may have taken it. */
  readonly isUncertain: boolean
}

/** Why a transaction did not run to its regular end. */
export interface TransactionFailure {
  /**
   * `refused`: this client would not send it to this peer. `not-started`: the connection was not usable, or the caller
   * did not want it any more. Else see `ConnectionEnd`.
   */
  readonly kind: 'refused' | 'not-started' | ConnectionEnd['kind']
  readonly code: string
  readonly message: string
}

/** What came of a transaction. What became of the connection is in `session.end`. */
export interface TransactionResult {
  /** In the order of the transaction's recipients. */
  readonly recipients: readonly RecipientResult[]
  readonly isEndOfDataSent: boolean
  /** Null when every reply was read. */
  readonly failure: TransactionFailure | null
}
