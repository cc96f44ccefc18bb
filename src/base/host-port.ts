// Servers as people write them: `mx.example.com:587`, `127.0.0.1:2525`, `[::1]:25`, `smtps://mail.example.com`.
//
// The rule stands here since rooms must agree on it that do not know each other: what configuration and commands take as a
// smarthost is read again, as it was written, by delivery.

import { isIP } from 'node:net'
import type { Parsed } from './parsed.ts'

const smtpsScheme = 'smtps://'

/** Where to listen or whom to call. */
export interface SocketAddress {
  /** An IP literal without brackets; for smarthosts a host name, too. */
  readonly host: string
  /** 0 to 65535; 0 takes any free port when listening. */
  readonly port: number
}

/** A server that takes mail from us. */
export interface SmarthostAddress extends SocketAddress {
  /** TLS from the first byte instead of STARTTLS (RFC 8314 §3.3). */
  readonly isImplicitTls: boolean
}

/** Reads `mail.example.com:587`, or `smtps://mail.example.com:465` for TLS from the first byte (465 may be left out). */
export function parseSmarthost(text: string): Parsed<SmarthostAddress> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[0]
  if (scheme !== undefined && scheme.toLowerCase() !== smtpsScheme)
    return {
      ok: false,
      why: `${quote(text)} begins with ${quote(scheme)}: only ${quote(smtpsScheme)} is known`,
    }
  const isImplicitTls = scheme !== undefined
  const bare = text.slice(scheme?.length ?? 0)
  const parsed = parseHostPort(bare, isImplicitTls ? 465 : 25)
  if (!parsed.ok) return parsed
  // A plan has addresses without one (resolve/literal.ts).
  if (parsed.value.host.includes('%'))
    return { ok: false, why: `${quote(text)} is an address with a zone, which a smarthost cannot have` }
  return { ok: true, value: { ...parsed.value, isImplicitTls } }
}

/** Reads `host:port`; the host is a name or an IP literal. */
export function parseHostPort(text: string, defaultPort: number = 25): Parsed<SocketAddress> {
  const parts = splitHostPort(text, defaultPort)
  if (!parts.ok) return parts
  const { host, port } = parts.value
  if (isIP(host) === 0 && !isHostName(host))
    return { ok: false, why: `${quote(host)} is neither a host name nor an IP address` }
  if (port === 0) return { ok: false, why: `${quote(text)} has port 0, which nobody can be reached at` }
  return { ok: true, value: { host: host.toLowerCase(), port } }
}

/** Splits `host:port` and `[IPv6]:port`; what the host is, the caller looks at. */
export function splitHostPort(text: string, defaultPort?: number): Parsed<SocketAddress> {
  const match = /^(?:\[([^\]]{2,45})\]|([^:[\]]{1,253}))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  if (host === undefined || (match?.[1] !== undefined && isIP(host) !== 6))
    return { ok: false, why: `${quote(text)} is not an address such as 127.0.0.1:2525 or [::1]:2525` }
  if (port === undefined)
    return { ok: false, why: `${quote(text)} names no port (write ${quote(`${text}:25`)})` }
  if (port > 65535) return { ok: false, why: `${port} is not a port: the highest is 65535` }
  return { ok: true, value: { host, port } }
}

/** True for a name of letters, digits and inner hyphens in dot-separated labels, 253 characters at most. */
export function isHostName(name: string): boolean {
  return (
    name.length <= 253 &&
    !/^[\d.]+$/.test(name) &&
    name.split('.').every(label => label.length <= 63 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i.test(label))
  )
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}
