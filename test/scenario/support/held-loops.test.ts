// What of a late loop is the machine's: rows of notes and what must remain for the server.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longestHeld } from './held-loops.ts'
import type { LateNote } from './late-loops.ts'

const late = (thread: string, fromMs: number, lateMs: number, waitedMs: number = 0): LateNote => ({
  thread,
  fromMs,
  toMs: fromMs + 20 + lateMs,
  lateMs,
  waitedMs,
})

const rows: readonly (readonly [what: string, notes: readonly LateNote[], heldMs: number])[] = [
  ['a loop that was held', [late('relay-0', 1000, 650)], 650],
  ['a loop whose thread had no core', [late('relay-0', 1000, 450, 400)], 50],
  [
    'a loop that was held, beside one that waited for long',
    [late('relay-0', 1000, 650, 30), late('relay-1', 1000, 800, 790)],
    620,
  ],
  [
    'a loop that was held, and waited for a core at many other moments',
    [
      late('relay-0', 1000, 650),
      ...Array.from({ length: 50 }, (_, i) => late('relay-0', 2000 + 60 * i, 40, 40)),
    ],
    650,
  ],
  ['a machine that stood still for all', [late('relay-0', 1000, 400), late('idle', 990, 390)], 10],
  [
    'a machine that stood still for a part of the time',
    [late('relay-0', 1000, 400), late('idle', 1300, 300)],
    280,
  ],
  [
    'a machine that stood still before and after',
    [late('relay-0', 1000, 400), late('idle', 500, 400), late('idle', 1500, 400)],
    400,
  ],
  ['a wait that is too long to be believed', [late('main', 1000, 3200, 3000)], 2700],
  ['the store at work, and an idle thread', [late('store', 1000, 900), late('idle', 5000, 300)], 0],
]

for (const [what, notes, heldMs] of rows)
  test(`${what}: ${heldMs} ms remain for the server`, () => {
    assert.equal(longestHeld(notes)?.heldMs ?? 0, heldMs)
  })
