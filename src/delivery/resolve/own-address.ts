// Is this address and port one of our own listeners? Then mail sent there would come straight back.
//
// A listener on a wildcard address listens on every address of the machine, and on all of 127.0.0.0/8.
// The caller hands in the machine's addresses, since asking the machine is not this file's business.

import { isIPv6 } from 'node:net'
import { parseIpv4, parseIpv6 } from '../../protocol/dns/index.ts'
import { embeddedIpv4 } from './private-address.ts'

/** Says whether an address and port is our own. */
export type IsOwnAddress = (address: string, port: number) => boolean

/**
 * Makes the check.
 * @param listeners addresses and ports as bound; `0.0.0.0` and `::` mean all (`::` both families).
 * @param machineAddresses every address of the machine's interfaces.
 */
export function ownAddressCheck(
  listeners: readonly { readonly address: string; readonly port: number }[],
  machineAddresses: readonly string[],
): IsOwnAddress {
  const exact = new Set<string>()
  const everyIpv4 = new Set<number>()
  const everyIpv6 = new Set<number>()
  for (const { address, port } of listeners) {
    const normal = normal6(address)
    if (normal === '::') everyIpv6.add(port)
    if (normal === '::' || normal === '0.0.0.0') everyIpv4.add(port)
    exact.add(`${normal} ${port}`)
  }
  const machine = new Set(machineAddresses.map(normal6))
  return (address, port) => {
    const normal = normal6(address)
    if (exact.has(`${normal} ${port}`)) return true
    const isIpv4 = !normal.includes(':')
    const isMachine = machine.has(normal) || normal === '::1' || normal === '::' || normal === '0.0.0.0'
    return (isMachine || normal.startsWith('127.')) && (isIpv4 ? everyIpv4 : everyIpv6).has(port)
  }
}

/** One spelling for each address; IPv4-mapped ones are IPv4. */
function normal6(address: string): string {
  const bare = address.split('%')[0]!
  if (!isIPv6(bare)) return parseIpv4(bare)?.join('.') ?? bare
  const groups = parseIpv6(bare)!
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every(group => group === 0)
  if (isMapped) return embeddedIpv4(bare)[0]!
  const text = groups.map(group => group.toString(16)).join(':')
  return text === '0:0:0:0:0:0:0:0' ? '::' : text === '0:0:0:0:0:0:0:1' ? '::1' : text
}
