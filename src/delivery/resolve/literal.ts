// Address literals in the domain part of a forward-path: `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).

import { isIPv6 } from 'node:net'
import { parseIpv4 } from '../../protocol/dns/index.ts'
import type { PlanAddress } from './types.ts'

/** The address inside, `invalid` for brackets around something else, null when there are no brackets. */
export function parseAddressLiteral(domain: string): PlanAddress | 'invalid' | null {
  if (!domain.startsWith('[')) return null
  if (!domain.endsWith(']')) return 'invalid'
  const inside = domain.slice(1, -1)
  if (parseIpv4(inside) !== null) return { address: inside, family: 4 }
  if (!/^ipv6:/i.test(inside)) return 'invalid'
  const address = inside.slice(5).toLowerCase()
  return isIPv6(address) && !address.includes('%') ? { address, family: 6 } : 'invalid'
}
