// One attempt: a batch on one connection, from "there is a session" to an outcome for every recipient.
//
// Plan:
// 1. Take as many recipients as the peer takes in one transaction; the others are sent in a further one (`again`).
// 2. Fit the message to the peer (adapt.ts): SIZE, SMTPUTF8, 8BITMIME. What cannot go gets its outcome here.
// 3. Get the content: from memory when just accepted, else from the store, streamed when large or when too much of the
//    store is in memory already.
// 4. Run the transaction. Right before the end of data leaves, a mark is written (ARCHITECTURE, durability).
// 5. Read the results, recipient by recipient (results.ts): delivered, refused, too many for one transaction, connection
//    lost or silent before the end of data (again, bounded), or lost after it (uncertain, deferred).
// Invariant: every recipient of the batch comes back exactly once, in `outcomes` or in `again`. Never rejects.

import type { Clock } from '../base/index.ts'
import type { Turns } from '../protocol/mail/index.ts'
import type { SmtpTransaction, TransactionContent, TransactionResult } from '../protocol/smtp/client/index.ts'
import type { LeasedRecipient } from '../queue/index.ts'
import { type Adapted, adapt, type ChangedRoom, needsAdapting } from './adapt.ts'
import type { Connection } from './connection.ts'
import { type ContentReader, contentFromStore, contentInMemory, withPrefix } from './content.ts'
import type { DeliveryBatch, PrefixedBatch } from './delivery-batch.ts'
import { transactionParameters, transactionRecipients } from './envelope.ts'
import { localFailures } from './local-failure.ts'
import { decidedHere, type RecipientOutcome } from './outcome.ts'
import type { EndOfDataMarks, Resigner } from './port.ts'
import type { ReadRoom } from './read-room.ts'
import { type ReadResults, readResults } from './results.ts'

/** What came of an attempt. */
export interface AttemptResult extends ReadResults {
  /** Token of the mark, to be cleared when the outcomes are committed; -1 when none was written. */
  readonly markToken: number
}

export interface AttemptPorts {
  readonly content: ContentReader
  readonly resigner: Resigner
  readonly room: ChangedRoom
  readonly encodings: Turns
  readonly reads: ReadRoom
  readonly marks: EndOfDataMarks
  readonly clock: Clock
  /** A mark that could not be written. */
  onFault(error: unknown): void
}

export interface AttemptLimits {
  /** Recipients of one transaction. */
  readonly recipientsMax: number
  readonly wholeContentBytesMax: number
  /** May a lost connection lead to another try at once? */
  readonly mayRerun: boolean
  /** May it still be sent? Asked again when the connection comes to it. */
  readonly mayStart: () => boolean
}

const nothing: readonly never[] = []

/** Runs a batch. Without anything to adapt or read, the commands leave before this returns. */
export function runAttempt(
  batch: DeliveryBatch,
  connection: Connection,
  ports: AttemptPorts,
  limits: AttemptLimits,
): Promise<AttemptResult> {
  const { message, content } = batch
  const peer = connection.session.facts.capabilities
  const recipientsMax = Math.min(limits.recipientsMax, peer.rcptMax ?? limits.recipientsMax)
  const { now, later } =
    peer.rcptDomainMax === null
      ? splitByCount(batch.recipients, recipientsMax)
      : splitByDomains(batch.recipients, recipientsMax, peer.rcptDomainMax)
  const attempt = new Attempt(batch, now, later, connection, ports, limits)
  const { prefix, isPlain } = message
  if (content === null || prefix === null || needsAdapting(message, peer)) return attempt.prepareAndRun()
  return attempt.run(contentInMemory(prefix, isPlain, content), message.isEightBit, message.isSmtpUtf8)
}

interface Split {
  readonly now: readonly LeasedRecipient[]
  readonly later: readonly LeasedRecipient[]
}

function splitByCount(recipients: readonly LeasedRecipient[], recipientsMax: number): Split {
  if (recipients.length <= recipientsMax) return { now: recipients, later: nothing }
  return { now: recipients.slice(0, recipientsMax), later: recipients.slice(recipientsMax) }
}

/** For peers that take only so many domains in a transaction (RFC 9422 §4.3). */
function splitByDomains(
  recipients: readonly LeasedRecipient[],
  recipientsMax: number,
  domainsMax: number,
): Split {
  const domains = new Set<string>()
  const now: LeasedRecipient[] = []
  const later: LeasedRecipient[] = []
  for (const recipient of recipients) {
    const isNew = !domains.has(recipient.domain)
    const fits = now.length < recipientsMax && (!isNew || domains.size < domainsMax)
    if (fits) domains.add(recipient.domain)
    ;(fits ? now : later).push(recipient)
  }
  return { now, later }
}

class Attempt {
  readonly #batch: DeliveryBatch
  #recipients: readonly LeasedRecipient[]
  readonly #later: readonly LeasedRecipient[]
  readonly #connection: Connection
  readonly #ports: AttemptPorts
  readonly #limits: AttemptLimits
  readonly #outcomes: RecipientOutcome[] = []
  #markToken = -1
  #readBytes = 0

  constructor(
    batch: DeliveryBatch,
    recipients: readonly LeasedRecipient[],
    later: readonly LeasedRecipient[],
    connection: Connection,
    ports: AttemptPorts,
    limits: AttemptLimits,
  ) {
    this.#batch = batch
    this.#recipients = recipients
    this.#later = later
    this.#connection = connection
    this.#ports = ports
    this.#limits = limits
  }

  /** Steps 2 and 3 when they need more than memory, then 4 and 5. */
  async prepareAndRun(): Promise<AttemptResult> {
    const result = await this.#prepareAndRun()
    this.#ports.reads.release(this.#readBytes)
    return result
  }

  async #prepareAndRun(): Promise<AttemptResult> {
    const { message } = this.#batch
    let adapted: Adapted | null = null
    let content: TransactionContent | null
    try {
      const prefixed = withPrefix(message, this.#ports.content)
      if (prefixed === null) return this.#endAll(localFailures.contentGone())
      const batch = { ...this.#batch, message: prefixed }
      const peer = this.#connection.session.facts.capabilities
      if (needsAdapting(message, peer)) {
        adapted = await adapt(batch, this.#recipients, peer, this.#ports)
        for (const { recipient, failure } of adapted.refused) this.#decide(recipient, failure)
        this.#recipients = adapted.recipients
        if (this.#recipients.length === 0) return this.#end(null)
      }
      content = await this.#content(batch, adapted)
    } catch (error) {
      return this.#endAll(localFailures.fault(error))
    }
    if (content === null) return this.#endAll(localFailures.contentGone())
    return this.run(
      content,
      adapted?.isEightBit ?? message.isEightBit,
      adapted?.isSmtpUtf8 ?? message.isSmtpUtf8,
    )
  }

  /** Steps 4 and 5. */
  run(content: TransactionContent, isEightBit: boolean, isSmtpUtf8: boolean): Promise<AttemptResult> {
    const { message } = this.#batch
    const { session, isOnTrial, answered } = this.#connection
    const transaction: SmtpTransaction = {
      reversePath: message.sentReversePath,
      recipients: transactionRecipients(this.#recipients, session.facts.capabilities.hasDsn),
      parameters: transactionParameters(message, isEightBit, isSmtpUtf8),
      content,
      isCautious: isOnTrial && answered === 0,
      mayStart: this.#limits.mayStart,
      beforeEnd: () => this.#mark(),
    }
    return session.transact(transaction).then(
      result => this.#end(result),
      error => this.#endAll(localFailures.fault(error)),
    )
  }

  async #content(
    { message, content }: PrefixedBatch,
    adapted: Adapted | null,
  ): Promise<TransactionContent | null> {
    if (adapted?.parts) return { parts: adapted.parts }
    if (content !== null) return contentInMemory(message.prefix, message.isPlain, content)
    const { sizeBytes } = message.content
    const isWhole = sizeBytes <= this.#limits.wholeContentBytesMax && this.#ports.reads.take(sizeBytes)
    if (isWhole) this.#readBytes = sizeBytes
    return contentFromStore(message, this.#ports.content, isWhole)
  }

  #mark(): void {
    const numbers = this.#recipients.map(one => one.number)
    try {
      this.#markToken = this.#ports.marks.mark(this.#batch.message.id, numbers)
    } catch (error) {
      // Without a mark a crash now would hide that the message may have arrived; it is still sent at least once.
      this.#ports.onFault(error)
    }
  }

  #decide(recipient: LeasedRecipient, failure: Parameters<typeof decidedHere>[1]): void {
    this.#outcomes.push(decidedHere(recipient, failure, this.#connection, this.#ports.clock.nowMs(), false))
  }

  #endAll(failure: Parameters<typeof decidedHere>[1]): AttemptResult {
    for (const recipient of this.#recipients) this.#decide(recipient, failure)
    return this.#end(null)
  }

  #end(result: TransactionResult | null): AttemptResult {
    const markToken = this.#markToken
    if (result === null) {
      return {
        outcomes: this.#outcomes,
        again: this.#later,
        why: this.#later.length > 0 ? 'split' : null,
        lost: null,
        markToken,
      }
    }
    const read = readResults(result, this.#recipients, {
      message: this.#batch.message,
      connection: this.#connection,
      atMs: this.#ports.clock.nowMs(),
      mayRerun: this.#limits.mayRerun,
    })
    if (this.#outcomes.length === 0 && this.#later.length === 0) {
      return { outcomes: read.outcomes, again: read.again, why: read.why, lost: read.lost, markToken }
    }
    return {
      outcomes: [...this.#outcomes, ...read.outcomes],
      again: [...read.again, ...this.#later],
      why: read.why ?? (this.#later.length > 0 ? 'split' : null),
      lost: read.lost,
      markToken,
    }
  }
}
