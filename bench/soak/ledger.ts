/**
 * The soak's ledger: every accepted message must have exactly one end, and the right one. Told by the server itself (its
 * counters and its queue), and by the two who cannot be wrong about it: the client that read a 250, and the receiver that
 * took or refused.
 */
import { heardStates, type LoadOutcome, type SinkCounts } from '../traffic/index.ts'

export interface Ledger {
  /** By the client: messages with a 250; contents sent to their end without a reply; others without a 250. */
  readonly clientAccepted: number
  readonly clientUnknown: number
  readonly clientRefused: number
  /** By the server; NaN when it does not tell. */
  readonly accepted: number
  readonly delivered: number
  readonly bounced: number
  readonly expired: number
  readonly queued: number
  /** Accepted by the client's word, and at the receiver. */
  readonly arrived: number
  /** Accepted by the client's word, refused by the receiver for good, and never taken. */
  readonly refused: number
  /** Taken by the receiver after a 550 that was handed over in time. */
  readonly takenAfterRefusal: number
  /** Accepted by the client's word, and neither at the receiver nor refused by it, expired or queued. */
  readonly lost: number
  /** Came more than once; of these after a 250 that the receiver did hand over, and after one that may have been lost. */
  readonly twice: number
  readonly twiceHeard: number
  readonly twicePerhaps: number
  /** Arrivals whose 250 the receiver kept back: each must be followed by another. */
  readonly tookUnheard: number
  /** Accepted by the client's word, came, but after the last arrival no 250 was handed over. */
  readonly endedUnheard: number
  readonly isBalanced: boolean
}

/** What the receiver says of the load's recipients, from the first one on; see Answers. */
export interface ReceiverSide {
  readonly arrivals: Float64Array
  readonly taken: Uint8Array
  readonly refused: Uint8Array
  readonly counts: Pick<SinkCounts, 'twice' | 'twiceHeard' | 'twicePerhaps' | 'tookUnheard'>
}

/** What the server says: its metrics before the load and now, and who is in its queue now. */
export interface ServerSide {
  readonly before: ReadonlyMap<string, number>
  readonly after: ReadonlyMap<string, number>
  readonly queued: number
}

export function makeLedger(
  load: Pick<LoadOutcome, 'accepted' | 'unknown' | 'refused' | 'acceptedMs'>,
  receiver: ReceiverSide,
  { before, after, queued }: ServerSide,
): Ledger {
  // A counter that is missing is no zero.
  const value = (name: string): number => (after.get(name) ?? Number.NaN) - (before.get(name) ?? 0)
  const outcomes = (kind: string): number => value(`postrider_outcomes_total{kind="${kind}"}`)
  const accepted = value('postrider_messages_accepted_total{door="smtp"}')
  const [delivered, bounced, expired] = [outcomes('delivered'), outcomes('bounced'), outcomes('expired')]
  const seen = { arrived: 0, refused: 0, takenAfterRefusal: 0, endedUnheard: 0 }
  let open = 0
  for (let index = 0; index < load.acceptedMs.length; index++) {
    if (load.acceptedMs[index] === 0) continue
    const refused = receiver.refused[index]
    if (receiver.arrivals[index] !== 0) {
      seen.arrived++
      if (refused === heardStates.heard) seen.takenAfterRefusal++
      if (receiver.taken[index] === heardStates.unheard) seen.endedUnheard++
    } else if (refused !== heardStates.none) seen.refused++
    else open++
  }
  const { twice, twiceHeard, twicePerhaps, tookUnheard } = receiver.counts
  return {
    clientAccepted: load.accepted,
    clientUnknown: load.unknown,
    clientRefused: load.refused,
    accepted,
    delivered,
    bounced,
    expired,
    queued,
    ...seen,
    lost: Math.max(0, open - (expired || 0) - queued),
    twice,
    twiceHeard,
    twicePerhaps,
    tookUnheard,
    isBalanced:
      accepted === delivered + bounced + expired + queued &&
      accepted >= load.accepted &&
      accepted <= load.accepted + load.unknown,
  }
}
