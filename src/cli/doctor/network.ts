// Checks of what the server needs of the network: its ports and a DNS server.
//
// A port is tried by binding it for a moment, which also finds missing rights and foreign addresses.

import { createServer } from 'node:net'
import { type Config, dnsServersOf, formatSocketAddress, type SocketAddress } from '../../config/index.ts'
import { findDoubt } from '../../delivery/resolve/index.ts'
import { machinePorts, Resolver } from '../../protocol/dns/index.ts'
import { bad, type Check, good, warn } from './check.ts'

const dnsCheckMs = 5000

/** A door that the configuration asks for. */
interface Door {
  readonly name: string
  readonly address: SocketAddress
}

/** @param isServing a server of this data folder runs: then its ports are taken, and rightly */
export async function checkPorts(config: Config, isServing: boolean): Promise<Check[]> {
  const doors: Door[] = config.listeners.map(({ kind, address }) => ({ name: kind, address }))
  if (config.http.address !== null) doors.push({ name: 'http', address: config.http.address })
  return await Promise.all(doors.map(door => checkPort(door, isServing)))
}

async function checkPort({ name, address }: Door, isServing: boolean): Promise<Check> {
  const label = `port ${name}`
  const where = formatSocketAddress(address)
  const code = await tryListen(address)
  switch (code) {
    case '':
      return isServing
        ? warn(
            label,
            `${where} is free, although a server runs`,
            'has the configuration changed? restart the server',
          )
        : good(label, `${where} is free`)
    case 'EADDRINUSE':
      return isServing
        ? good(label, `${where} is served`)
        : bad(
            label,
            `${where} is taken by another program`,
            `ss -ltnp 'sport = :${address.port}' says by which`,
          )
    case 'EACCES':
      return bad(
        label,
        `${where} needs more rights: ports below 1024 are for root`,
        'start as root with user set in postrider.toml, or use the systemd unit',
      )
    case 'EADDRNOTAVAIL':
      return bad(label, `${address.host} is not an address of this machine`, 'ip address shows which it has')
    default:
      return bad(label, `${where} cannot be used (${code})`, 'correct the address in postrider.toml')
  }
}

/** '' when the address can be listened on. */
function tryListen({ host, port }: SocketAddress): Promise<string> {
  return new Promise(resolve => {
    // A client that comes in this moment must not hold it up: closing waits for connections.
    const server = createServer(socket => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve('')))
  })
}

/** Asks each DNS server that the server would ask; one that says "no such name" works, if delivery would believe it. */
export async function checkDns(config: Config): Promise<Check[]> {
  // Decision 0006: then nobody else is asked.
  if (config.lab.isEnabled && config.dns.servers.length === 0)
    return [good('dns', 'the lab answers, and no other server is asked: mail stays on this machine')]
  const name = config.hostname.includes('.') ? config.hostname : 'example.com'
  return await Promise.all(dnsServersOf(config).map(server => checkDnsServer(server, name)))
}

async function checkDnsServer({ host, port }: SocketAddress, name: string): Promise<Check> {
  const label = `dns ${host}`
  await using resolver = new Resolver({
    servers: [{ address: host, port }],
    ports: machinePorts,
    attemptTimeoutMs: 2000,
    rounds: 1,
  })
  const beforeMs = performance.now()
  const result = await resolver.query(name, 'A', { signal: AbortSignal.timeout(dnsCheckMs) })
  const tookMs = Math.round(performance.now() - beforeMs)
  if (result.kind === 'failure')
    return bad(label, result.text, 'mail cannot be routed without DNS: set [dns] servers to one that answers')
  // A captive portal has an address for every name: what it has to be believed for is that there is no MX.
  const negative = { name, kind: result.kind === 'nxdomain' ? 'nxdomain' : 'nodata' } as const
  const doubt = await findDoubt(resolver, [negative], { signal: AbortSignal.timeout(dnsCheckMs) })
  if (doubt === null) return good(label, `answers, in ${tookMs} ms`)
  const why = doubt.why === '' ? '' : ` (${doubt.why})`
  return bad(
    label,
    `answers, but does not tell the name servers of the root, nor of anything else above ${name}${why}: it is not believed`,
    'mail for domains of which it says that there is nothing waits instead of bouncing: set [dns] servers to one that knows the root',
  )
}
