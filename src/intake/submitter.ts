// What a submission takes and gives: the envelope, the result, and what it needs of the rest of the program; and the
// submitter of a relay thread, which begins one for each content that a door takes.
// Invariant: what a submission shares with others of its thread is here; what belongs to one content is in submission.ts.

import type { AccountReader } from '../accounts/index.ts'
import type { Clock, IdGenerator, MessageId } from '../base/index.ts'
import { formatDate, reencodingsAtOnce, Turns } from '../protocol/mail/index.ts'
import type { ContentSpool, LeasedMessage, NewRecipient, QueueStore } from '../queue/index.ts'
import { Copies } from './content.ts'
import type { HeldContents } from './held.ts'
import type { DoorFacts, Principal } from './principal.ts'
import type { Refusal } from './refusal.ts'
import type { SignatureMaker } from './signing/index.ts'
import { Submission } from './submission.ts'

/** The envelope as the door collected it. */
export interface SubmissionEnvelope {
  /** '' is the null reverse-path. */
  readonly reversePath: string
  readonly isEightBit: boolean
  readonly isSmtpUtf8: boolean
  readonly ret: '' | 'FULL' | 'HDRS'
  readonly envelopeId: string
  readonly recipients: readonly NewRecipient[]
  /** Lane 0 to 9; undefined takes the stream's. */
  readonly priority?: number
  /** Milliseconds until the message expires; undefined takes the configured expiry. */
  readonly timeToLiveMs?: number
}

/** How a submission ended. */
export type SubmissionResult = { readonly kind: 'accepted'; readonly id: MessageId } | Refusal

/** Takes just-accepted messages without a read back; the delivery engine is one. */
export interface ReadySink {
  /**
   * Keeps room for this many recipients and bytes of an account while the commit runs; false when there is none for it.
   * Decides the start state. What is kept is given up by `letGo`, also when the message then comes by `enqueue`.
   */
  reserve(accountKey: number, recipients: number, sizeBytes: number): boolean
  letGo(accountKey: number, recipients: number, sizeBytes: number): void
  /** Takes responsibility for the leased recipients. `parts` is null when the content must be read from segments. */
  enqueue(message: LeasedMessage, parts: readonly Buffer[] | null): void
}

/** What a submission needs of the rest of the program. */
export interface SubmissionPorts {
  readonly store: Pick<QueueStore, 'accept'>
  readonly spool: ContentSpool
  readonly accounts: AccountReader
  readonly signatures: SignatureMaker
  readonly ready: ReadySink
  readonly held: HeldContents
  readonly ids: IdGenerator
  readonly clock: Clock
}

/** Settings of submissions, from the configuration. */
export interface SubmissionOptions {
  readonly hostname: string
  readonly headerBytesMax: number
  readonly headerFieldsMax: number
  readonly inlineBytesMax: number
  /** More Received fields than this are a loop. */
  readonly receivedMax: number
  readonly longLineBytesMax: number
  readonly expireMs: number
}

/** Makes submissions; one per relay thread. */
export class Submitter {
  readonly ports: SubmissionPorts
  readonly copies: Copies = new Copies()
  readonly encodings: Turns = new Turns(reencodingsAtOnce)
  /** A reload may replace them; submissions that have begun keep theirs. */
  options: SubmissionOptions
  #dateSecond = -1
  #date = ''

  constructor(ports: SubmissionPorts, options: SubmissionOptions) {
    this.ports = ports
    this.options = options
  }

  /** The time as mail writes it: made once a second, not once a message. */
  dateOf(atMs: number): string {
    const second = Math.floor(atMs / 1000)
    if (second !== this.#dateSecond) {
      this.#dateSecond = second
      this.#date = formatDate(atMs)
    }
    return this.#date
  }

  /** Starts a submission for an identified principal. */
  begin(principal: Principal, door: DoorFacts, envelope: SubmissionEnvelope): Submission {
    return new Submission(this, principal, door, envelope)
  }
}
