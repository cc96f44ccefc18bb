// A promise that must settle in time: the stages of both sides wait for the other program with it.

import { setTimeout as sleep } from 'node:timers/promises'

/** Rejects with `what` when nothing came in `timeoutMs`. */
export async function within<T>(promise: Promise<T>, what: string, timeoutMs: number): Promise<T> {
  const timer = new AbortController()
  const late = sleep(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} did not come in ${timeoutMs} ms`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
    late.catch(() => undefined)
    promise.catch(() => undefined)
  }
}
