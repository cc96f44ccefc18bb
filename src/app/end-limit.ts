// The bound on the end of the process: whatever still waits for something then, the process ends with its exit code.
//
// A thread that does not end or a socket that does not close must not keep a supervisor from starting the next process.
// Nothing accepted is lost by it: it is as good an end as a crash (ARCHITECTURE, durability).
// One thing it cannot cut: a call into the kernel that does not return (a sync to a disk that stands still). Node waits for
// its threads, and the process ends when the call does, or by SIGKILL where the kernel can break the call off.

import type { Log, LogOutput } from '../telemetry/index.ts'

/** Ends the process after so long, unless it has ended by itself. Disposing lifts the bound. */
export function limitEnd(
  code: 0 | 1,
  limitMs: number,
  log: Log,
  output: Pick<LogOutput, 'flushed'>,
): Disposable {
  const timer = setTimeout(() => {
    log.event('server.cut-off', { code, afterMs: limitMs })
    void output.flushed().then(() => process.exit(code))
  }, limitMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
