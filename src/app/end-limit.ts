// The bound on the end of the process: whatever still waits for something then, the process ends with its exit code.
//
// A store that does not answer or a socket that does not close must not keep a supervisor from starting the next process.
// Nothing accepted is lost by it: it is as good an end as a crash (ARCHITECTURE, durability).

import type { Log } from '../telemetry/index.ts'

/** Ends the process after so long, unless it has ended by itself. Disposing lifts the bound. */
export function limitEnd(code: 0 | 1, limitMs: number, log: Log, output: { flushSync(): void }): Disposable {
  const timer = setTimeout(() => {
    log.event('server.cut-off', { code, afterMs: limitMs })
    output.flushSync()
    process.exit(code)
  }, limitMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
