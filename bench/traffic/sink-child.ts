/** The sink as a child process; see sink.ts and child.ts. */
import { answerCalls } from './child.ts'
import type { FaultShares } from './faults.ts'
import { type SinkCounts, type SinkOptions, TrafficSink } from './sink.ts'

let sink: TrafficSink | null = null
const running = (): TrafficSink => {
  if (sink === null) throw new Error('the sink is not started')
  return sink
}

const calls = {
  /** @returns the port. */
  start: async (options: SinkOptions): Promise<number> => {
    sink = new TrafficSink(options)
    return await sink.open()
  },
  shut: async (): Promise<void> => await running().shut(),
  open: async (): Promise<number> => await running().open(),
  misbehave: (shares: FaultShares | null, seed: number): void => running().misbehave(shares, seed),
  counts: (): SinkCounts => running().counts(),
  waitFor: async (recipients: number): Promise<number> => await running().waitFor(recipients),
  arrivals: (): Float64Array => running().answers.arrivals,
  /** By recipient, see heardStates. */
  taken: (): Uint8Array => running().answers.taken,
  refused: (): Uint8Array => running().answers.refused,
  forget: (): void => running().forget(),
}

export type SinkCalls = typeof calls

answerCalls(calls)
