// Paths of MAIL and RCPT: `<local@domain>`, the null path and `<postmaster>` (RFC 5321 §4.1.2).
//
// The local part is scanned by its own grammar first, so that `"x@evil y"@ok` belongs to ok and a `>` inside
// quotes ends nothing. A short source route is read and dropped (RFC 5321 Appendix C). Nothing here throws.

import {
  localPartFault,
  normalizeDomainOrLiteral,
  type Parsed,
  pathBytesMax,
  scanLocalPart,
} from '../../mail/index.ts'

/** A parsed path: `<>` has both parts empty. */
export interface SmtpPath {
  /** Local part as given, quotes kept; '' for the null path. */
  readonly localPart: string
  /** Lower-case A-label, or an address literal in brackets; '' for the null path and for bare `<postmaster>`. */
  readonly domain: string
  /** True when local part or domain as given had non-ASCII characters. */
  readonly isUtf8: boolean
}

/** A path and the text behind it: '' or parameters with their leading space. */
export interface PathAndRest {
  readonly path: SmtpPath
  readonly rest: string
}

/** The null reverse-path. */
export const nullPath: SmtpPath = Object.freeze({ localPart: '', domain: '', isUtf8: false })

/** No route that was ever of use was longer, and each hop costs us a look at a domain. */
const routeHopsMax = 10

const wrong = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why })

/** Index after a source route `@a,@b:` that begins at `start`. */
function skipSourceRoute(text: string, start: number): Parsed<number> {
  const colon = text.indexOf(':', start)
  if (colon < 0) return wrong('the source route is broken')
  const route = text.slice(start, colon)
  const hops = route.split(',', routeHopsMax + 1)
  if (hops.length > routeHopsMax) return wrong(`the source route has more than ${routeHopsMax} hosts`)
  if (Buffer.byteLength(route) >= pathBytesMax) return wrong(`the path is longer than ${pathBytesMax} octets`)
  for (const hop of hops) {
    if (hop.charCodeAt(0) !== 0x40 || !normalizeDomainOrLiteral(hop.slice(1)).ok)
      return wrong('the source route is broken')
  }
  return { ok: true, value: colon + 1 }
}

/** Where the domain that begins at `start` ends: at the first `>` (a domain has none). */
function parseMailbox(text: string, start: number): Parsed<PathAndRest> {
  const localEnd = scanLocalPart(text, start)
  if (localEnd < 0) return wrong('the local part is missing or has a character that is not allowed')
  const localPart = text.slice(start, localEnd)
  const fault = localPartFault(localPart)
  if (fault !== null) return wrong(fault)
  const next = text.charCodeAt(localEnd)
  if (next === 0x3e) {
    if (localPart.toLowerCase() !== 'postmaster') return wrong('the domain is missing')
    return pathThenRest({ localPart, domain: '', isUtf8: false }, text, localEnd + 1)
  }
  if (next !== 0x40) return wrong('the local part has a character that is not allowed')
  const end = text.indexOf('>', localEnd)
  if (end < 0) return wrong('the closing angle bracket is missing')
  const given = text.slice(localEnd + 1, end)
  const domain = normalizeDomainOrLiteral(given)
  if (!domain.ok) return domain
  const bytes = Buffer.byteLength(localPart) + domain.value.length + 3
  if (bytes > pathBytesMax) return wrong(`the path is longer than ${pathBytesMax} octets`)
  // Only a string of ASCII has as many octets as characters.
  const isUtf8 =
    Buffer.byteLength(given) !== given.length || Buffer.byteLength(localPart) !== localPart.length
  return pathThenRest({ localPart, domain: domain.value, isUtf8 }, text, end + 1)
}

function pathThenRest(path: SmtpPath, text: string, end: number): Parsed<PathAndRest> {
  if (end < text.length && text.charCodeAt(end) !== 0x20)
    return wrong('a space must stand between the path and what follows')
  return { ok: true, value: { path, rest: text.slice(end) } }
}

/**
 * Parses what stands behind `FROM:` or `TO:`. Spaces before the bracket are tolerated.
 * The null path is valid only as a reverse-path.
 */
export function parsePath(text: string, kind: 'reverse' | 'forward'): Parsed<PathAndRest> {
  let start = 0
  while (text.charCodeAt(start) === 0x20) start++
  if (text.charCodeAt(start) !== 0x3c) return wrong('the address must stand in angle brackets')
  start++
  if (text.charCodeAt(start) === 0x3e) {
    if (kind === 'forward') return wrong('the address is empty')
    return pathThenRest(nullPath, text, start + 1)
  }
  if (text.charCodeAt(start) !== 0x40) return parseMailbox(text, start)
  const mailbox = skipSourceRoute(text, start)
  return mailbox.ok ? parseMailbox(text, mailbox.value) : mailbox
}
