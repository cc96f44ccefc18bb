/**
 * The soak's ledger: every accepted message must have exactly one end. Told by the server itself (its counters and its
 * queue), and by the two who cannot be wrong about it: the client that read a 250, and the receiver that took or refused.
 */
import type { Postrider } from '../../test/support/postrider.ts'
import { countQueued, scrape } from '../scale/server.ts'
import type { LoadOutcome } from '../traffic/index.ts'

export interface Ledger {
  /** By the client: messages with a 250; contents sent to their end without a reply. */
  readonly clientAccepted: number
  readonly clientUnknown: number
  readonly clientRefused: number
  /** By the server. */
  readonly accepted: number
  readonly delivered: number
  readonly bounced: number
  readonly expired: number
  readonly queued: number
  /** Accepted by the client's word, and neither at the receiver nor refused by it, expired or queued. */
  readonly lost: number
  /** Came more than once. */
  readonly twice: number
  readonly isBalanced: boolean
}

const outcome = (kind: string): string => `postrider_outcomes_total{kind="${kind}"}`

export async function readLedger(
  program: Postrider,
  load: LoadOutcome,
  receiver: { readonly arrivals: Float64Array; readonly refused: Uint8Array; readonly twice: number },
  before: ReadonlyMap<string, number>,
): Promise<Ledger> {
  const values = await scrape(program)
  const value = (name: string): number => (values.get(name) ?? 0) - (before.get(name) ?? 0)
  const accepted = value('postrider_messages_accepted_total{door="smtp"}')
  const [delivered, bounced, expired] = [outcome('delivered'), outcome('bounced'), outcome('expired')].map(
    value,
  ) as [number, number, number]
  const queued = await countQueued(program)
  let open = 0
  for (let index = 0; index < load.acceptedMs.length; index++)
    if (load.acceptedMs[index] !== 0 && receiver.arrivals[index] === 0 && receiver.refused[index] === 0)
      open++
  return {
    clientAccepted: load.accepted,
    clientUnknown: load.unknown,
    clientRefused: load.refused,
    accepted,
    delivered,
    bounced,
    expired,
    queued,
    lost: Math.max(0, open - expired - queued),
    twice: receiver.twice,
    isBalanced:
      accepted === delivered + bounced + expired + queued &&
      accepted >= load.accepted &&
      accepted <= load.accepted + load.unknown,
  }
}
