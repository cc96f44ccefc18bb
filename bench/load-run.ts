/**
 * One load run: a fresh sink, a fresh server, a warm-up, then N messages from smtp-source.
 *
 * Plan: 1. start sink and server; 2. warm up (warm-up.ts) and wait until all of that is at the sink, so that no
 * leftover work falls into the measurement; 3. send N, timing smtp-source (accept rate)
 * and the moment the sink has counted the last one (end-to-end rate); 4. read CPU and peak memory of the
 * server's whole tree; 5. see that nothing came twice; 6. the same load once more, unmeasured, into a sink that keeps
 * book of each message (smtp-sink only counts: to it one that is lost and one that comes twice are two that came); 7. stop.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { freePort, runSmtpSource, Scratch, startSmtpSink } from '../test/support/peers/index.ts'
import type { Peer, RunningPeer } from './peers/index.ts'
import { cpuSeconds, watchMemory } from './process-tree.ts'
import type { Resumption } from './resumption.ts'
import { type LoadScenario, sessions } from './scenarios.ts'
import { bookOf, eachCameOnce, startGenerator, startSinkProcess } from './traffic/index.ts'
import { warmUp } from './warm-up.ts'

export interface LoadResult {
  readonly messages: number
  /** Messages a second until smtp-source had its last reply. */
  readonly acceptRate: number
  /** Messages a second until the last one was at the sink. */
  readonly endToEndRate: number
  /** CPU seconds of the server for a thousand messages; undefined for the ceiling. */
  readonly cpuSecondsPerThousand: number | undefined
  readonly peakMemoryMib: number | undefined
  /** Messages that came more than once: any fails the run. */
  readonly duplicates: number
  /** Of a secure load. */
  readonly resumption?: Resumption
}

/** How long a run may take before it counts as stuck. */
export const stuckMs = 600_000
/** Told apart after the measurement; enough for seconds of full load. */
const toldApartMax = 5_000

export async function runLoad(
  peer: Peer,
  scenario: LoadScenario,
  options: { readonly messages: number; readonly parent: string },
): Promise<LoadResult> {
  await using scratch = await Scratch.create(`bench-${peer.name}`, options.parent)
  await using sink = await startSmtpSink({ port: await freePort() })
  const server = await peer.start({
    sinkPort: sink.port,
    isSigned: scenario.isSigned,
    secure: null,
    isKept: scenario.isKept,
    directory: scratch.path,
  })
  try {
    const { bodySizeBytes, isKept } = scenario
    const load = { port: server.smtpPort, sessions, bodySizeBytes, isKept }
    await sink.waitFor(await warmUp(messages => send({ ...load, messages })), stuckMs)
    await delay(300)

    const pids = server.pids()
    const before = sink.messages()
    const cpuBefore = cpuSeconds(pids)
    const memory = watchMemory(pids)
    const startMs = performance.now()
    const arrived = sink.waitFor(before + options.messages, stuckMs)
    const acceptedMs = await send({ ...load, messages: options.messages })
    const endMs = await arrived
    const cpu = cpuSeconds(pids) - cpuBefore
    const peakMemoryMib = memory.stop()
    await delay(200)
    const duplicates = sink.messages() - before - options.messages
    await sink[Symbol.asyncDispose]()
    await tellApart(server, scenario, sink.port, Math.min(options.messages, toldApartMax))
    return {
      messages: options.messages,
      acceptRate: (options.messages / acceptedMs) * 1000,
      endToEndRate: (options.messages / (endMs - startMs)) * 1000,
      cpuSecondsPerThousand: pids.length === 0 ? undefined : (cpu / options.messages) * 1000,
      peakMemoryMib: pids.length === 0 ? undefined : peakMemoryMib,
      duplicates,
    }
  } finally {
    await server.stop()
  }
}

/** Each of so many messages must come, and none twice; by our own generator and sink, at the port of the sink before. */
async function tellApart(
  { smtpPort, login }: RunningPeer,
  { bodySizeBytes, isKept }: LoadScenario,
  sinkPort: number,
  messages: number,
): Promise<void> {
  await using sink = startSinkProcess()
  await using generator = startGenerator()
  await sink.call('start', { addresses: ['127.0.0.1'], port: sinkPort, tracked: messages })
  await generator.call('run', {
    port: smtpPort,
    sessions,
    firstMessage: 0,
    messages,
    ratePerSecond: null,
    isTolerant: false,
    bodySizeBytes,
    recipientsPerMessage: 1,
    domains: 0,
    isKept,
    usesTls: false,
    login,
    sender: 'sender@example.com',
  })
  await eachCameOnce(bookOf(sink), messages, stuckMs)
}

async function send(load: Parameters<typeof runSmtpSource>[0]): Promise<number> {
  const result = await runSmtpSource({ ...load, timeoutMs: stuckMs })
  if (result.exit !== 0) throw new Error(`smtp-source ended with ${result.exit}: ${result.stderr}`)
  return result.elapsedMs
}
