// The machine's own clock, randomness, sockets and timers for the resolver. Only `app` and tests use this.

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { DnsPorts } from './types.ts'

/** The real thing. Timers do not keep the process alive; sockets live only as long as their query. */
export const machinePorts: DnsPorts = {
  monotonicMs: () => performance.now(),
  randomInt: limit => randomInt(limit),
  openUdp: family => createSocket(family === 6 ? 'udp6' : 'udp4'),
  openTcp: (address, port) => connect({ host: address, port, noDelay: true }),
  setTimer: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
