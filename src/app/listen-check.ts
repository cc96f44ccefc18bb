// Makes sure that nobody else has our addresses before the relay threads share them.
//
// The threads listen with port sharing on, so a second process of the same user would bind the same port silently: the
// main thread first binds each address without sharing, closes, and only then the threads bind. It looks
// twice: before anything is touched, so that a mistake costs nothing, and again right before the doors open, since another
// server may have opened its own meanwhile.

import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Problem, SocketAddress } from '../config/index.ts'
import { formatSocketAddress } from '../config/index.ts'

/** Somebody else who checks holds an address for less than this. */
const checkedMs = 50
/**
 * Held by whoever opens doors: a Unix socket without a file (Linux), which the kernel frees with its process. Elsewhere
 * ports are not shared between processes.
 */
const turnName = '\0postrider.opening-doors'
const turnRetryMs = 20
/** Opening takes milliseconds; who holds the name for longer is no server that opens its doors. */
const turnWaitMsMax = 2000

/** Resolves when no other server of this machine opens its doors; until it is disposed none does. */
export async function takeTurn(): Promise<AsyncDisposable> {
  for (let waitedMs = 0; process.platform === 'linux' && waitedMs < turnWaitMsMax; waitedMs += turnRetryMs) {
    const server = net.createServer(socket => socket.destroy())
    const code = await listen(server, { path: turnName })
    if (code === null)
      return { [Symbol.asyncDispose]: () => new Promise<void>(resolve => server.close(() => resolve())) }
    if (code !== 'EADDRINUSE') break
    await sleep(turnRetryMs)
  }
  // Without it two servers that start within the same milliseconds may share their ports.
  return { [Symbol.asyncDispose]: async () => {} }
}

/** Binds and frees each address; the problems say which could not be had and what to do. */
export async function checkAddresses(addresses: readonly SocketAddress[]): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const address of addresses) {
    let code = await tryBind(address)
    if (code === 'EADDRINUSE') {
      await sleep(checkedMs)
      code = await tryBind(address)
    }
    if (code !== null) problems.push(describe(address, code))
  }
  return problems
}

/** Picks a free port for a listener that asks for port 0, so that all threads bind the same one. */
export async function settlePort(address: SocketAddress): Promise<SocketAddress> {
  if (address.port !== 0) return address
  const server = net.createServer(turnAway)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address.host, port: 0, exclusive: true }, () => {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      server.close(() => resolve({ host: address.host, port }))
    })
  })
}

/** A client that comes in the moment of the check must not hold it up: closing waits for connections. */
function turnAway(socket: net.Socket): void {
  socket.destroy()
}

async function tryBind({ host, port }: SocketAddress): Promise<string | null> {
  const server = net.createServer(turnAway)
  const code = await listen(server, { host, port, exclusive: true })
  if (code === null) await new Promise(resolve => server.close(resolve))
  return code
}

/** Null when it listens, else the system's code. */
function listen(server: net.Server, options: net.ListenOptions): Promise<string | null> {
  return new Promise(resolve => {
    const refused = (error: NodeJS.ErrnoException): void => resolve(error.code ?? 'EUNKNOWN')
    server.once('error', refused)
    server.listen(options, () => {
      server.off('error', refused)
      resolve(null)
    })
  })
}

/** Why an address could not be bound, by the system's code, and what to do. */
export function describe(address: SocketAddress, code: string): Problem {
  const where = formatSocketAddress(address)
  if (code === 'EADDRINUSE')
    return {
      where,
      what: 'another program listens on this address',
      hint: `find it with: ss -ltnp 'sport = :${address.port}'; if it is another Postrider, stop it or choose other ports`,
    }
  if (code === 'EACCES')
    return {
      where,
      what: `ports below 1024 need a privilege that this process does not have`,
      hint: 'use the systemd unit in deploy/systemd (CAP_NET_BIND_SERVICE), or start as root with `user` set',
    }
  if (code === 'EADDRNOTAVAIL')
    return { where, what: 'this machine does not have this address', hint: 'see: ip address' }
  return {
    where,
    what: `the address cannot be bound (${code})`,
    hint: 'check the [[listener]] and [http] addresses',
  }
}
