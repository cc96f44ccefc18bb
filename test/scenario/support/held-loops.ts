// Whether a server held one of its event loops, or the machine did: judged by the notes of late loops.
//
// Only what the machine did while this very loop did not turn is taken off: what the thread waited for a core just then, or how
// late the idle thread was in that time. Waits at other moments of a long input say nothing about it, however many
// there were. And a machine is believed so much and no more.

import { idleThread } from './delay-probe.ts'
import type { LateNote } from './late-loops.ts'

/** A loop that was late for longer than this beyond the bound was held, whatever the machine did. */
export const machineMsMax = 500

/** Threads with loops that clients, receivers and operators wait for. The store's works in steps as long as a disk takes. */
const judged = /^(?:main|relay-\d+)$/

/** A loop that did not turn, and who was it. */
export interface HeldLoop {
  readonly note: LateNote
  readonly machineMs: number
  /** What remains for the server. */
  readonly heldMs: number
}

/** The loop that the server held for longest; null when none was late. */
export function longestHeld(notes: readonly LateNote[]): HeldLoop | null {
  const idle = notes.filter(one => one.thread === idleThread)
  const held = notes
    .filter(one => judged.test(one.thread))
    .map(note => {
      const idleMs = idle.reduce((sum, one) => sum + Math.min(one.lateMs, overlapMs(note, one)), 0)
      const machineMs = Math.min(machineMsMax, Math.max(note.waitedMs, idleMs))
      return { note, machineMs, heldMs: note.lateMs - machineMs }
    })
  return held.reduce<HeldLoop | null>(
    (most, one) => (most !== null && most.heldMs >= one.heldMs ? most : one),
    null,
  )
}

function overlapMs(one: LateNote, other: LateNote): number {
  return Math.max(0, Math.min(one.toMs, other.toMs) - Math.max(one.fromMs, other.fromMs))
}

/** In words. */
export function describeHeld(held: HeldLoop | null): string {
  if (held === null) return 'no loop was late'
  const { note, machineMs } = held
  return `${note.thread} was late by ${Math.round(note.lateMs)} ms (machine: ${Math.round(machineMs)} ms)`
}
