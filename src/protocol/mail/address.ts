// Addresses: the one grammar and the one normal form that SMTP paths, API fields, suppressions and
// bounce processing share (RFC 5321 §4.1.2, RFC 6531 §3.3).
//
// Invariants: a domain that leaves this file is a lower-case A-label name of letters, digits and hyphens,
// or an address literal in brackets; a local part is kept as given, quotes included. Nothing here throws.
// Two spellings of a domain that differ in more than case and Unicode composition are never merged:
// full-width letters, ignorable characters and other mapped forms are refused.

import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII, domainToUnicode } from 'node:url'

/** RFC 5321 §4.5.3.1.2, in octets. */
export const domainBytesMax = 255
/** RFC 5321 §4.5.3.1.3, in octets, with the angle brackets. The local part has no limit of its own (decision 0015). */
export const pathBytesMax = 256

/** An address in its normal form. */
export interface MailAddress {
  /** As given, quotes kept. */
  readonly localPart: string
  /** Lower-case A-label, or an address literal in brackets. */
  readonly domain: string
  /** True when local part or domain as given had characters outside ASCII. */
  readonly isUtf8: boolean
}

/** A parsed value, or one clause that says what is wrong. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string }

const wrong = (why: string): { readonly ok: false; readonly why: string } => ({ ok: false, why })

const isLetterOrDigit = (c: number): boolean =>
  (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a)

/** Why `name` is no host name of letters, digits and hyphens; null when it is one. ASCII only. */
function ldhFault(name: string): string | null {
  if (name.length > domainBytesMax) return `the domain is longer than ${domainBytesMax} octets`
  let labelStart = 0
  let hasLetter = false
  for (let i = 0; i <= name.length; i++) {
    const c = i < name.length ? name.charCodeAt(i) : 0x2e
    if (c === 0x2e) {
      if (i === labelStart) return 'the domain has an empty label or a dot at its end'
      if (i - labelStart > 63) return 'a label of the domain is longer than 63 octets'
      if (name.charCodeAt(labelStart) === 0x2d || name.charCodeAt(i - 1) === 0x2d)
        return 'a label of the domain begins or ends with a hyphen'
      if (i === name.length) break
      labelStart = i + 1
      hasLetter = false
    } else if (c === 0x2d) hasLetter = true
    else if (!isLetterOrDigit(c)) return 'the domain has a character that is not allowed'
    else if (c > 0x39) hasLetter = true
  }
  // An all-digit last label is an IP address that lost its brackets.
  return hasLetter ? null : 'an IP address must stand in brackets'
}

const hasNonAscii = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return true
  return false
}

// A label that starts with xn-- must mean something and be the only way to write it.
function hasValidALabels(ascii: string): boolean {
  const unicode = domainToUnicode(ascii)
  return !unicode.split('.').some(label => label.startsWith('xn--')) && domainToASCII(unicode) === ascii
}

/** The domain as a lower-case A-label name. Accepts U-labels; refuses what only looks like them. */
export function normalizeDomain(text: string): Parsed<string> {
  if (text === '') return wrong('the domain is missing')
  if (text.length > domainBytesMax) return wrong(`the domain is longer than ${domainBytesMax} octets`)
  if (!hasNonAscii(text)) {
    const fault = ldhFault(text)
    if (fault !== null) return wrong(fault)
    const lower = text.toLowerCase()
    if (lower.includes('xn--') && !hasValidALabels(lower))
      return wrong('the domain has an invalid internationalised label')
    return { ok: true, value: lower }
  }
  // domainToASCII also decodes percent signs and numbers: keep them away from it.
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c <= 0x7f && c !== 0x2e && c !== 0x2d && !isLetterOrDigit(c))
      return wrong('the domain has a character that is not allowed')
  }
  const ascii = domainToASCII(text)
  if (ascii === '') return wrong('the domain is no valid internationalised name')
  const fault = ldhFault(ascii)
  if (fault !== null) return wrong(fault)
  if (!hasValidALabels(ascii) || domainToUnicode(ascii) !== text.normalize('NFC').toLowerCase())
    return wrong('the domain is spelt with compatibility characters')
  return { ok: true, value: ascii }
}

/** An address literal in its normal form, brackets included (RFC 5321 §4.1.3). */
export function normalizeAddressLiteral(text: string): Parsed<string> {
  if (!text.startsWith('[') || !text.endsWith(']')) return wrong('the address literal has no closing bracket')
  const inner = text.slice(1, -1)
  if (isIPv4(inner)) return { ok: true, value: text }
  if (/^ipv6:/i.test(inner) && isIPv6(inner.slice(5)) && !inner.includes('%'))
    return { ok: true, value: `[IPv6:${inner.slice(5).toLowerCase()}]` }
  return wrong('the address literal is no IPv4 or IPv6 address')
}

/** Domain or address literal in its normal form. */
export function normalizeDomainOrLiteral(text: string): Parsed<string> {
  return text.charCodeAt(0) === 0x5b ? normalizeAddressLiteral(text) : normalizeDomain(text)
}

// 1 for atext (RFC 5322 §3.2.3).
const atext = new Uint8Array(128)
for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~")
  atext[c.charCodeAt(0)] = 1

/** Characters outside ASCII that no address needs and that make two addresses look alike or break a line. */
const isHarmfulUnicode = (c: number): boolean =>
  // Controls, spaces of any width, what has none, and marks of direction.
  c <= 0xa0 ||
  c === 0xad ||
  c === 0x1680 ||
  (c >= 0x2000 && c <= 0x200f) ||
  (c >= 0x2028 && c <= 0x202f) ||
  (c >= 0x205f && c <= 0x206f) ||
  c === 0x3000 ||
  c === 0xfeff ||
  c === 0xfffd

function scanDotAtom(text: string, start: number): number {
  let isAfterDot = true
  let i = start
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x2e) {
      if (isAfterDot) return -1
      isAfterDot = true
    } else if (c > 0x7f ? !isHarmfulUnicode(c) : atext[c] === 1) isAfterDot = false
    else break
  }
  return isAfterDot ? -1 : i
}

function scanQuotedString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x22) return i + 1
    if (c === 0x5c) {
      i++
      const escaped = i < text.length ? text.charCodeAt(i) : 0
      if (escaped < 0x20 || escaped > 0x7e) return -1
    } else if (c < 0x20 || c === 0x7f || (c > 0x7f && isHarmfulUnicode(c))) return -1
  }
  return -1
}

/** Index after the local part that begins at `start`; -1 when there is no valid one (RFC 5321 §4.1.2). */
export function scanLocalPart(text: string, start: number): number {
  return text.charCodeAt(start) === 0x22 ? scanQuotedString(text, start) : scanDotAtom(text, start)
}

/** Why a local part that has passed `scanLocalPart` is still refused; null when it is not. */
export function localPartFault(localPart: string): string | null {
  if (localPart.length > pathBytesMax || Buffer.byteLength(localPart) > pathBytesMax)
    return `the address is longer than ${pathBytesMax - 2} octets`
  return localPart.isWellFormed() ? null : 'the local part is not valid Unicode'
}

/** Parses one bare address, `local@domain`, nothing around it. */
export function parseAddress(text: string): Parsed<MailAddress> {
  const at = scanLocalPart(text, 0)
  if (at < 0) return wrong('the local part is missing or has a character that is not allowed')
  if (text.charCodeAt(at) !== 0x40)
    return wrong(
      at === text.length ? 'the @ is missing' : 'the local part has a character that is not allowed',
    )
  const localPart = text.slice(0, at)
  const fault = localPartFault(localPart)
  if (fault !== null) return wrong(fault)
  const domain = normalizeDomainOrLiteral(text.slice(at + 1))
  if (!domain.ok) return domain
  if (Buffer.byteLength(localPart) + domain.value.length + 3 > pathBytesMax)
    return wrong(`the address is longer than ${pathBytesMax - 2} octets`)
  return { ok: true, value: { localPart, domain: domain.value, isUtf8: hasNonAscii(text) } }
}

/** `local@domain`; '' for the null path; the bare local part when there is no domain. */
export function formatAddress(address: { readonly localPart: string; readonly domain: string }): string {
  return address.domain === '' ? address.localPart : `${address.localPart}@${address.domain}`
}

/**
 * The key under which an address is suppressed and looked up. The local part is compared without regard to
 * case and needless quoting: providers that tell `Bob` from `bob` are unknown, and a suppression must not be
 * evaded by spelling. Mail is still sent to the local part as given.
 */
export function addressKey(address: { readonly localPart: string; readonly domain: string }): string {
  let local = address.localPart
  if (local.charCodeAt(0) === 0x22) {
    const bare = local.slice(1, -1).replace(/\\(.)/gs, '$1')
    if (scanDotAtom(bare, 0) === bare.length) local = bare
  }
  return formatAddress({ localPart: local.normalize('NFC').toLowerCase(), domain: address.domain })
}
