// When the next attempt of a deferred recipient is due: pure, from a list of intervals.
//
// The last interval repeats. Jitter spreads recipients that failed together, at most 10 % either way. The last
// attempt is made at the expiry itself, so that a short-lived message is not given up early.

/** The intervals of `[retry] schedule`, milliseconds; at least one. */
export interface RetrySchedule {
  readonly intervalsMs: readonly number[]
}

/** Another attempt at a time, or the end. */
export type NextAttempt = { readonly kind: 'at'; readonly atMs: number } | { readonly kind: 'expired' }

/** Largest jitter as a share of the interval. */
export const retryJitterMax = 0.1

/**
 * What follows a deferral.
 * @param attempts attempts made, the one just made included (from 1)
 * @param expiresAtMs when the message expires; a deferral at or after it ends the matter
 * @param random from 0 up to but without 1
 */
export function nextAttempt(
  schedule: RetrySchedule,
  attempts: number,
  nowMs: number,
  expiresAtMs: number,
  random: () => number,
): NextAttempt {
  if (nowMs >= expiresAtMs) return { kind: 'expired' }
  const last = schedule.intervalsMs.length - 1
  const intervalMs = schedule.intervalsMs[Math.min(Math.max(attempts, 1) - 1, last)]!
  const jitter = 1 - retryJitterMax + 2 * retryJitterMax * random()
  return { kind: 'at', atMs: Math.min(Math.round(nowMs + intervalMs * jitter), expiresAtMs) }
}
