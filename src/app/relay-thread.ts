// Entry of a relay thread: starts a Relay and lets the main thread call it.
//
// A fault that nobody handled ends the thread, and with it the process (ARCHITECTURE, processes and threads): what it had
// leased is taken back at the next start.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Relay } from './relay.ts'
import type { RelayData } from './relay-data.ts'
import { ThreadLink } from './thread-link.ts'

if (parentPort !== null) await run(parentPort, workerData as RelayData)

async function run(port: MessagePort, data: RelayData): Promise<void> {
  const relay = Relay.build(data, {
    onFatal: error => {
      throw error
    },
    onClockJump: () => link.call('clockJumped'),
  })
  const link = new ThreadLink(port, {
    // Answered once everything above is built.
    built: () => undefined,
    bind: () => relay.bind(),
    begin: () => relay.begin(),
    accountsChanged: () => relay.accountsChanged(),
    recall: () => relay.recall(),
    wake: () => relay.wake(),
    reload: change => relay.reload(change),
    metrics: () => relay.metrics(),
    drain: (deadlineMs: number) => relay.drain(deadlineMs),
    close: async () => {
      await relay.close()
      // The answer leaves first.
      setImmediate(() => port.close())
    },
  })
}
