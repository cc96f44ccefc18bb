// Which way a recipient leaves: by MX, or by a smarthost that the operator named.
//
// First step of delivery. A route set on the recipient (`queue reroute`) wins, then the most specific `[[route]]`:
// an exact domain, then the longest suffix (`.example.com`), then `*`. No route: MX.

import type { ClientCredentials } from '../protocol/smtp/client/index.ts'

/** How TLS is asked of a smarthost. */
export type RouteTls = 'opportunistic' | 'required' | 'verified'

/** A next hop that the operator named. Exempt from the private-address guard (resolve/private-address.ts). */
export interface Smarthost {
  /** A name (A and AAAA are looked up, no MX) or an address without brackets. */
  readonly host: string
  readonly port: number
  /** TLS from the first byte (RFC 8314 §3.3) instead of STARTTLS; then at least `required`. */
  readonly isImplicitTls?: boolean
  /** Default `opportunistic`; with credentials at least `required`. */
  readonly tls?: RouteTls
  readonly credentials?: ClientCredentials
  /** Tells two logins of one host apart without naming them: another password needs another connection. */
  readonly loginId?: string
}

/** One `[[route]]`. */
export interface Route {
  /** `*`, a domain, or a suffix that begins with a dot (subdomains only); lower-case A-labels. */
  readonly recipientDomain: string
  readonly smarthost: Smarthost
}

/** The port of a smarthost that names none (base/host-port.ts). */
export const smarthostPort: number = 25

/** The name of a smarthost in paths and pool keys. */
export function smarthostKey({ host, port, isImplicitTls }: Smarthost): string {
  return `${isImplicitTls === true ? 'smtps' : 'smarthost'}:${host}:${port}`
}

/** The same, with what makes connections to it unlike each other: TLS and login. */
export function smarthostVariant(smarthost: Smarthost): string {
  return `${smarthostKey(smarthost)} ${smarthost.tls ?? ''} ${smarthost.loginId ?? ''}`
}

/** All routes, looked up by domain. */
export class RouteTable {
  readonly #exact = new Map<string, Smarthost>()
  readonly #suffixes: readonly Route[]
  readonly #everything: Smarthost | null

  /** Of two routes for the same domain the first counts. */
  constructor(routes: readonly Route[]) {
    let everything: Smarthost | null = null
    const suffixes: Route[] = []
    for (const route of routes) {
      const domain = route.recipientDomain.toLowerCase()
      if (domain === '*') everything ??= route.smarthost
      else if (domain.startsWith('.')) suffixes.push({ ...route, recipientDomain: domain })
      else if (!this.#exact.has(domain)) this.#exact.set(domain, route.smarthost)
    }
    this.#everything = everything
    this.#suffixes = suffixes.sort((a, b) => b.recipientDomain.length - a.recipientDomain.length)
  }

  /** The smarthost for a recipient's domain (lower-case A-label or address literal); null: by MX. */
  find(domain: string): Smarthost | null {
    const exact = this.#exact.get(domain)
    if (exact !== undefined) return exact
    for (const { recipientDomain, smarthost } of this.#suffixes) {
      if (domain.endsWith(recipientDomain)) return smarthost
    }
    return this.#everything
  }
}
