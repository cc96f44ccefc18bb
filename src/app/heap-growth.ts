// How far the heaps of all threads may grow between two collections.
//
// Place on the path: off it, before the threads start. Left to itself, V8 goes by the heap's limit: under a limit high
// enough for the worst, half of the memory while a long queue drains was garbage that nobody looked for, and buffers that
// this garbage held. What it costs and saves: docs/decisions/0029-memory-while-a-queue-drains.md.

import { setFlagsFromString } from 'node:v8'

/** Beyond what was alive after the last collection; V8 takes a few MiB at least. */
const growingPercent = 20

/**
 * For heaps of this process that are made from now on, and for those that there are. Contents lie in buffers, outside of the
 * heap: without the second flag what dead ones hold is no reason to look for them before it is 32 MiB and more.
 */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growingPercent}`)
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
