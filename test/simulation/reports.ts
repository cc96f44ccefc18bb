// Reports in a simulation: each outcome that owes its sender a report has it in the same commit, and there are no others.
//
// The ledger says what is owed by the events that it reads, and shows each report that was accepted; after every whole
// commit the two are held against each other. What a report speaks of is read from the mail itself (RFC 3464), as its
// receiver would. No two messages of the traffic have the same sender, so that sender and recipient name one outcome.

import { type NewMessage, notifyBits } from '../../src/queue/index.ts'
import { type Entry, fail } from './entry.ts'

/** What a report says of a recipient. */
export type ReportAction = 'failed' | 'delayed'

/** Whose news it is: Final-Recipient, and what became of him. */
const newsPattern = /^Final-Recipient: rfc822; (\S+)\r\nAction: (\w+)\r$/gm

export class Reports {
  /** `action sender recipient`, of the commits that are being read. */
  readonly #owed = new Set<string>()
  readonly #made = new Set<string>()

  /** An outcome stands in the log: its sender is to hear of it, when he wants to. */
  owes({ sender, path, notify }: Entry, action: ReportAction): void {
    if (sender === null) return
    const bit = action === 'failed' ? notifyBits.failure : notifyBits.delay
    if (notify === notifyBits.notSaid || (notify & bit) !== 0) this.#owed.add(`${action} ${sender} ${path}`)
  }

  /** A report stands in the log. */
  made({ reversePath, recipients, content }: NewMessage): void {
    const [to] = recipients
    if (reversePath !== '' || to === undefined || recipients.length > 1 || content.kind !== 'inline')
      fail('a report has a sender of its own, or more than one recipient')
    const news = [...Buffer.concat(content.parts).toString('latin1').matchAll(newsPattern)]
    if (news.length === 0) fail(`a report to ${to.forwardPath} speaks of nobody`)
    for (const [, path, action] of news) {
      const one = `${action} ${to.forwardPath} ${path}`
      if (this.#made.has(one)) fail(`two reports say the same: ${one}`)
      this.#made.add(one)
    }
  }

  /** All that was committed so far has been read. */
  check(): void {
    for (const one of this.#owed) if (!this.#made.has(one)) fail(`an outcome has no report: ${one}`)
    for (const one of this.#made) if (!this.#owed.has(one)) fail(`a report says what is not so: ${one}`)
    this.#owed.clear()
    this.#made.clear()
  }
}
