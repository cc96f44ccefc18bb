/**
 * Arrivals told apart: each message is held against what was sent, by its number. A count alone would take one that is lost
 * and one that came twice for two that came.
 */
import type { SinkCounts } from './sink.ts'

/** What this asks of a sink. */
export interface BookPorts {
  readonly waitFor: (recipients: number) => Promise<number>
  /** By recipient, 0 before. */
  readonly arrivals: () => Promise<Float64Array>
  readonly counts: () => Promise<Pick<SinkCounts, 'twice'>>
}

/**
 * Waits until recipients from 0 up to but without this came, each once.
 * @returns when the last one came; rejects when one is missing or came twice.
 */
export async function eachCameOnce(
  { waitFor, arrivals, counts }: BookPorts,
  recipients: number,
  patienceMs: number,
): Promise<number> {
  const waiting = Promise.withResolvers<number>()
  const timer = setTimeout(() => waiting.resolve(Number.NaN), patienceMs)
  waitFor(recipients).then(waiting.resolve, waiting.reject)
  const atMs = await waiting.promise.finally(() => clearTimeout(timer))
  const missing = (await arrivals()).subarray(0, recipients).reduce((sum, at) => sum + (at === 0 ? 1 : 0), 0)
  const { twice } = await counts()
  if (missing > 0 || twice > 0)
    throw new Error(`of ${recipients} messages ${missing} never came, and ${twice} came twice`)
  return atMs
}
