// The DNS servers to ask: those of the configuration, else those of the machine.
//
// Place on the path: off it; read at the start, at a reload, and by doctor, which so speaks of the same servers.

import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { SocketAddress } from '../base/index.ts'
import type { Config } from './types.ts'

const dnsPort = 53

/** Those of `[dns] servers`; where it names none, of /etc/resolv.conf. */
export function dnsServersOf({ dns }: Pick<Config, 'dns'>): readonly SocketAddress[] {
  return dns.servers.length > 0 ? dns.servers : systemDnsServers(readIfThere('/etc/resolv.conf'))
}

/**
 * Servers that a resolv.conf names, the local one when it names none. The zone of an IPv6 address stays: without it a
 * link-local one leads nowhere. A word that is no address is left out, as the machine's own resolver does it.
 */
export function systemDnsServers(resolvConf: string): SocketAddress[] {
  const servers: SocketAddress[] = []
  for (const line of resolvConf.split('\n')) {
    const [word, host = ''] = line.trim().split(/\s+/)
    if (word === 'nameserver' && isIP(host) !== 0) servers.push({ host, port: dnsPort })
  }
  return servers.length > 0 ? servers : [{ host: '127.0.0.1', port: dnsPort }]
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
