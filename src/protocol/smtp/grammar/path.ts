// Paths of MAIL and RCPT: `<local@domain>`, the null path and `<postmaster>` (RFC 5321 §4.1.2).
//
// The local part is scanned by its own grammar first, so that `"x@evil y"@ok` belongs to ok and a `>` inside
// quotes ends nothing. A source route is read and dropped (RFC 5321 Appendix C). Nothing here throws.

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

const wrong = (why: string): Parsed<PathAndRest> => ({ ok: false, why })

/** Index after a source route `@a,@b:` that begins at `start`; `start` when there is none; -1 when it is broken. */
function skipSourceRoute(text: string, start: number): number {
  if (text.charCodeAt(start) !== 0x40) return start
  const colon = text.indexOf(':', start)
  if (colon < 0) return -1
  for (const hop of text.slice(start, colon).split(',')) {
    if (hop.charCodeAt(0) !== 0x40 || !normalizeDomainOrLiteral(hop.slice(1)).ok) return -1
  }
  return colon + 1
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
  const mailbox = skipSourceRoute(text, start)
  if (mailbox < 0) return wrong('the source route is broken')
  return parseMailbox(text, mailbox)
}
