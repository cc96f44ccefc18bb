// Makes sure that nobody else has our addresses before the relay threads share them.
//
// The threads listen with port sharing on, so a second process of the same user would bind the same port silently: the
// main thread first binds each address without sharing, closes, and only then the threads bind (DESIGN section 4).

import net from 'node:net'
import type { Problem, SocketAddress } from '../config/index.ts'
import { formatSocketAddress } from '../config/index.ts'

/** Binds and frees each address; the problems say which could not be had and what to do. */
export async function checkAddresses(addresses: readonly SocketAddress[]): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const address of addresses) {
    const code = await tryBind(address)
    if (code !== null) problems.push(describe(address, code))
  }
  return problems
}

/** Picks a free port for a listener that asks for port 0, so that all threads bind the same one. */
export async function settlePort(address: SocketAddress): Promise<SocketAddress> {
  if (address.port !== 0) return address
  const server = net.createServer()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address.host, port: 0, exclusive: true }, () => {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      server.close(() => resolve({ host: address.host, port }))
    })
  })
}

function tryBind(address: SocketAddress): Promise<string | null> {
  const server = net.createServer()
  return new Promise(resolve => {
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? 'EUNKNOWN'))
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      server.close(() => resolve(null))
    })
  })
}

function describe(address: SocketAddress, code: string): Problem {
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
