// Checks of what the server needs of the network: its ports and a DNS server.
//
// A port is tried by binding it for a moment, which also finds missing rights and foreign addresses.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { type Config, formatSocketAddress, type SocketAddress } from '../../config/index.ts'
import { machinePorts, Resolver } from '../../protocol/dns/index.ts'
import { bad, type Check, good, warn } from './check.ts'

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

/** Asks each DNS server once; a server that says "no such name" works. */
export async function checkDns(config: Config): Promise<Check[]> {
  // Decision 0006: then nobody else is asked.
  if (config.lab.isEnabled && config.dns.servers.length === 0)
    return [good('dns', 'the lab answers, and no other server is asked: mail stays on this machine')]
  const servers =
    config.dns.servers.length > 0
      ? config.dns.servers.map(({ host, port }) => ({ address: host, port }))
      : systemServers()
  const name = config.hostname.includes('.') ? config.hostname : 'example.com'
  return await Promise.all(servers.map(server => checkDnsServer(server, name)))
}

async function checkDnsServer(server: { address: string; port: number }, name: string): Promise<Check> {
  const label = `dns ${server.address}`
  await using resolver = new Resolver({
    servers: [server],
    ports: machinePorts,
    attemptTimeoutMs: 2000,
    rounds: 1,
  })
  const beforeMs = performance.now()
  const result = await resolver.query(name, 'A', { signal: AbortSignal.timeout(5000) })
  const tookMs = Math.round(performance.now() - beforeMs)
  if (result.kind !== 'failure') return good(label, `answers, in ${tookMs} ms`)
  return bad(label, result.text, 'mail cannot be routed without DNS: set [dns] servers to one that answers')
}

/** Those that the server asks: of /etc/resolv.conf, and the local resolver when that names none. */
function systemServers(): { address: string; port: number }[] {
  const found = Array.from(
    readIfThere('/etc/resolv.conf').matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)/gm),
    ([, address]) => ({ address: address ?? '', port: 53 }),
  )
  return found.length > 0 ? found : [{ address: '127.0.0.1', port: 53 }]
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
