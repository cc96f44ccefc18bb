/**
 * One latency run: load generator and sink are ours and share a clock, the server in between is fresh.
 *
 * Plan: 1. start the sink thread and the server; 2. warm up with a second of the load; 3. offer the rate for
 * the scenario's time; 4. wait for the stragglers; 5. answer percentiles of due → accepted and of
 * accepted → at the sink. A message not at the sink in the end makes the run fail.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Scratch } from '../../test/support/peers/index.ts'
import type { Peer } from '../peers/index.ts'
import { type LatencyScenario, sessions } from '../scenarios.ts'
import { generate } from './generator.ts'
import type { SinkThreadData } from './sink-thread.ts'

export interface LatencyResult {
  readonly offeredRate: number
  readonly achievedRate: number
  readonly messages: number
  readonly acceptP50Ms: number
  readonly acceptP99Ms: number
  readonly deliveredP50Ms: number
  readonly deliveredP99Ms: number
  readonly duplicates: number
}

const stragglersMs = 120_000

export async function runLatency(
  peer: Peer,
  scenario: LatencyScenario,
  options: { readonly ratePerSecond: number; readonly parent: string },
): Promise<LatencyResult> {
  const rate = options.ratePerSecond
  const warmUp = Math.ceil(rate)
  const messages = Math.ceil((rate * scenario.durationMs) / 1000)
  const data: SinkThreadData = {
    arrivals: new Float64Array(new SharedArrayBuffer(8 * messages)),
    twice: new Int32Array(new SharedArrayBuffer(4)),
  }
  await using scratch = await Scratch.create(`bench-${peer.name}`, options.parent)
  const sink = new Worker(new URL('./sink-thread.ts', import.meta.url), { workerData: data })
  try {
    const [sinkPort] = (await once(sink, 'message')) as [number]
    const server = await peer.start({
      sinkPort,
      isSigned: scenario.isSigned,
      secure: null,
      isKept: true,
      directory: scratch.path,
    })
    try {
      const load = { port: server.smtpPort, connections: sessions, bodySizeBytes: scenario.bodySizeBytes }
      await generate({ ...load, ratePerSecond: rate, messages: Math.min(warmUp, messages) })
      await untilAllCame(data, Math.min(warmUp, messages))
      data.arrivals.fill(0)
      data.twice[0] = 0
      const sent = await generate({ ...load, ratePerSecond: rate, messages })
      await untilAllCame(data, messages)
      const accept = sent.acceptedMs.map((at, index) => at - (sent.dueMs[index] ?? 0)).sort()
      const delivered = data.arrivals
        // The sink may have a message before the client has read its 250.
        .map((at, index) => Math.max(0, at - (sent.acceptedMs[index] ?? 0)))
        .sort()
      return {
        offeredRate: rate,
        achievedRate: sent.achievedRate,
        messages,
        acceptP50Ms: percentile(accept, 0.5),
        acceptP99Ms: percentile(accept, 0.99),
        deliveredP50Ms: percentile(delivered, 0.5),
        deliveredP99Ms: percentile(delivered, 0.99),
        duplicates: data.twice[0] ?? 0,
      }
    } finally {
      await server.stop()
    }
  } finally {
    await sink.terminate()
  }
}

async function untilAllCame(data: SinkThreadData, messages: number): Promise<void> {
  const deadline = performance.now() + stragglersMs
  for (;;) {
    let missing = 0
    for (let index = 0; index < messages; index++) if (data.arrivals[index] === 0) missing++
    if (missing === 0) return
    if (performance.now() > deadline)
      throw new Error(`${missing} of ${messages} messages were accepted but never came to the sink`)
    await delay(50)
  }
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
