// Small numbers that stand in the database for the queue's words. Numbers are never reused; new ones go at the end.

import { recipientsMax } from '../../base/index.ts'
import type { RecipientState, WaitReason } from '../../queue/index.ts'

/** States of a recipient row. The partial index of due work holds `scheduled` only. */
export const stateCodes: Readonly<Record<RecipientState, number>> = { scheduled: 0, leased: 1, held: 2 }

const states: readonly RecipientState[] = ['scheduled', 'leased', 'held']

/** The word for a state number. */
export function stateOf(code: number): RecipientState {
  return states[code] ?? 'held'
}

/** Wait reasons. 3 was `site-limit`, which no version wrote. */
const reasonCodes: Readonly<Record<WaitReason, number>> = {
  'first-attempt': 0,
  'next-attempt': 1,
  ready: 2,
  'site-unreachable': 4,
  'held-by-operator': 5,
  'held-by-restore': 6,
  released: 7,
  'retry-requested': 8,
  'ready-queue-full': 9,
  unsigned: 10,
}

const reasons: ReadonlyMap<number, WaitReason> = new Map(
  Object.entries(reasonCodes).map(([reason, code]) => [code, reason as WaitReason]),
)

/** The number of a wait reason. */
export function reasonCode(reason: WaitReason): number {
  return reasonCodes[reason]
}

/** The word for a wait reason's number. */
export function reasonOf(code: number): WaitReason {
  return reasons.get(code) ?? 'next-attempt'
}

/** Bits of `recipient.flags`. */
export const recipientFlags = { delayNotified: 1, uncertain: 2 } as const

export { recipientsMax }

/** The row key of a recipient, `message key * recipientsMax + number`: one integer instead of a two-column key. */
export function recipientKey(messageKey: number, number: number): number {
  return messageKey * recipientsMax + number
}

/** The message key inside a recipient's row key. */
export function messageKeyOf(key: number): number {
  return Math.floor(key / recipientsMax)
}

/** The recipient number inside a recipient's row key. */
export function numberOf(key: number): number {
  return key % recipientsMax
}
