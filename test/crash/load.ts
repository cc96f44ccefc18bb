// SMTP load whose every message can be recognised (message.ts).
//
// The ledger holds what was sent (written before the first byte leaves) and what was acknowledged (written when the 250 is
// read). Sizes and recipients are mixed so that inline contents, segments, deferrals, refusals and several recipients are
// all in flight at a time.

import { queuedId, SmtpClient } from '../scenario/support/client.ts'
import type { Random } from '../support/random.ts'
import { contentOf, makeSent, type Sent } from './message.ts'
import { Prefixes } from './prefixes.ts'

/** What was sent, by number, and what of it was acknowledged, by id. */
export class Ledger {
  readonly sent: Map<number, Sent> = new Map()
  readonly acknowledged: Map<string, Sent> = new Map()
  /** What we have put before the contents, by id. */
  readonly prefixes: Prefixes
  #number: number

  /** @param above numbers begin after this. */
  constructor(above: number = 0, prefixes: Prefixes = new Prefixes()) {
    this.#number = above
    this.prefixes = prefixes
  }

  next(): number {
    return ++this.#number
  }

  /** One that has the same entries and goes its own way. */
  copy(): Ledger {
    const copied = new Ledger(this.#number, this.prefixes.copy())
    for (const sent of this.sent.values()) copied.note(sent)
    for (const [id, sent] of this.acknowledged) copied.acknowledged.set(id, sent)
    return copied
  }

  /** A message is about to be sent. */
  note(sent: Sent): void {
    this.sent.set(sent.number, sent)
  }
}

/** How the load is mixed. */
export interface LoadOptions {
  readonly port: number
  readonly from: string
  readonly sessions: number
  /** Ends after so many messages, when it is not killed before. */
  readonly messagesMax: number
  /** Largest body. */
  readonly bodyBytesMax: number
  /** Told before the first byte of a message leaves. */
  readonly onSent?: (sent: Sent) => void
}

/** Sends until everything is sent or the server is gone; rejects when the server refuses something instead. */
export async function runLoad(options: LoadOptions, ledger: Ledger, random: Random): Promise<void> {
  let left = options.messagesMax
  const session = async (): Promise<void> => {
    try {
      await using client = await SmtpClient.connect(options.port)
      await client.hello()
      while (left-- > 0) {
        const sent = makeMessage(options, ledger, random)
        // The client ends the last line itself.
        const reply = await client.send(options.from, sent.to, contentOf(sent).subarray(0, -2))
        ledger.acknowledged.set(queuedId(reply), sent)
      }
    } catch (error) {
      // The server is gone: what was not answered does not count.
      if (!isConnectionLost(error)) throw error
    }
  }
  await Promise.all(Array.from({ length: options.sessions }, session))
}

function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(code) || error.message.startsWith('the connection ended')
  )
}

function makeMessage(options: LoadOptions, ledger: Ledger, random: Random): Sent {
  const number = ledger.next()
  const bodyBytes = Math.min(bodySize(random), options.bodyBytesMax)
  const sent = makeSent(number, options.from, recipientsOf(number, random), bodyBytes)
  ledger.note(sent)
  options.onSent?.(sent)
  return sent
}

function bodySize(random: Random): number {
  const kind = random.next()
  if (kind < 0.45) return 200 + random.below(3000)
  if (kind < 0.75) return 8000 + random.below(6000)
  if (kind < 0.97) return 20_000 + random.below(150_000)
  if (kind < 0.995) return 500_000 + random.below(700_000)
  return 5_000_000
}

/** See `CrashReceiver` for what the names do. */
function recipientsOf(number: number, random: Random): string[] {
  const count = random.next() < 0.25 ? 3 : 1
  return Array.from({ length: count }, (_, at) => {
    const kind = random.next()
    const name = kind < 0.15 ? 'later' : kind < 0.2 ? 'again' : kind < 0.25 ? 'gone' : 'there'
    return `${name}${number}-${at}@${name}.example`
  })
}
