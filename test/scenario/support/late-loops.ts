// Notes each time that the event loop of its thread was late: loaded into every thread of a server (`--import`), and into
// an idle thread of the test, which says how late this machine makes everybody just now.
//
// A note says from when to when the loop did not turn, and how much of just that time its thread was ready to run and
// had no core, as the kernel counts it (Linux only; elsewhere nobody ever waits). All threads append to one file.

import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { isMainThread, threadName } from 'node:worker_threads'

/** Times are of the machine's monotonic clock, which is the same in all processes. */
export interface LateNote {
  /** The thread's name, `main` in the main thread. */
  readonly thread: string
  readonly fromMs: number
  readonly toMs: number
  /** How much later the loop turned than it should have. */
  readonly lateMs: number
  /** What of it the thread waited for a core. */
  readonly waitedMs: number
}

/** Where the file's path stands. */
export const lateLoopsVariable = 'TEST_LATE_LOOPS'

const intervalMs = 20
/** What is less is not worth a line. */
const lateMsMin = 10
const scheduled = '/proc/thread-self/schedstat'
const isCounted = existsSync(scheduled)

/** What this thread has waited for a core so far. */
function waitedSoFarMs(): number {
  if (!isCounted) return 0
  // Time on a core, time waiting for one, turns.
  return Number(readFileSync(scheduled, 'latin1').split(' ')[1]) / 1e6
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function watch(path: string, thread: string): void {
  let fromMs = nowMs()
  let waitedBeforeMs = waitedSoFarMs()
  const look = (): void => {
    const toMs = nowMs()
    const waitedMs = waitedSoFarMs()
    const note = {
      thread,
      fromMs,
      toMs,
      lateMs: toMs - fromMs - intervalMs,
      waitedMs: waitedMs - waitedBeforeMs,
    }
    fromMs = toMs
    waitedBeforeMs = waitedMs
    if (note.lateMs > lateMsMin) appendFileSync(path, `${JSON.stringify(note satisfies LateNote)}\n`)
  }
  // No thread lives longer for it.
  setInterval(look, intervalMs).unref()
}

const path = process.env[lateLoopsVariable]
if (path !== undefined) watch(path, isMainThread ? 'main' : (threadName ?? ''))
