// Ports for programs that cannot bind port 0 and say which they got.
//
// Between the look and the program's start the port must stay free. So they lie below those that the system gives to
// outgoing connections, of which some tests make thousands, and each process walks through them from a place of its
// own: what runs at the same time hardly meets.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'

const lowest = 10_240
const span = firstOutgoing() - lowest
let walked = 0

/** A TCP port that is free on every local address, and is not given to this process again soon. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + ((process.pid * 379 + walked++) % span)
    const server = createServer()
    server.listen(port)
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!isFree) continue
    await new Promise(resolve => server.close(resolve))
    return port
  }
}

/** The first port that the system takes by itself: 32768 with Linux's own settings. */
function firstOutgoing(): number {
  const usual = 32_768
  try {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0])
    // Where nearly all ports are the system's there is no better place.
    return first > lowest + 1000 ? Math.min(first, usual) : usual
  } catch {
    return usual
  }
}
