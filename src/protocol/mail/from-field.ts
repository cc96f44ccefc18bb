// Reads the mailboxes of a From field (RFC 5322 §3.4), strictly where readers disagree.
//
// Place on the path: the policy check at the door takes the From domain from here, so it must be the domain
// that every receiver sees. What two parsers could read differently is refused with advice, not guessed.
// Invariants: one pass, no recursion, no backtracking; the result is bounded; never throws.

import { parseAddress } from './address.ts'
import { trimBlanks } from './blanks.ts'

const mailboxesMax = 100
const encodedWord = /=\?[^?]*\?[bq]\?/i
const noAddress = 'there is no address where one is expected'

/** One mailbox: display name and address in its normal form. */
export interface Mailbox {
  /** As written, quotes and backslashes taken off; encoded-words stay encoded; '' when there is none. */
  readonly name: string
  readonly localPart: string
  /** Lower-case A-label, or an address literal in brackets. */
  readonly domain: string
  readonly isUtf8: boolean
}

/** Outcome of reading a list. */
export type MailboxList =
  | { readonly kind: 'parsed'; readonly mailboxes: readonly Mailbox[] }
  | { readonly kind: 'refused'; readonly why: string }

/** Outcome of reading a From field, which must have one mailbox. */
export type FromField =
  | { readonly kind: 'parsed'; readonly mailbox: Mailbox }
  | { readonly kind: 'refused'; readonly why: string }

/** Reads the value of a From field, unfolded; `why` says what the sender should change. */
export function parseFromField(value: string): FromField {
  const list = parseMailboxes(value)
  if (list.kind === 'refused') return list
  const [mailbox, second] = list.mailboxes
  if (mailbox === undefined) return { kind: 'refused', why: noAddress }
  if (second !== undefined) return { kind: 'refused', why: `it has ${list.mailboxes.length} addresses` }
  return { kind: 'parsed', mailbox }
}

/** Reads a list of mailboxes, unfolded; groups are refused. At most 100 mailboxes. */
export function parseMailboxes(value: string): MailboxList {
  const mailboxes: Mailbox[] = []
  let at = 0
  while (at <= value.length) {
    const element = readElement(value, at)
    if (element.kind === 'wrong') return { kind: 'refused', why: element.why }
    if (element.mailbox !== undefined) mailboxes.push(element.mailbox)
    // A comma at the very end is common and harmless; readers differ on any other empty element.
    else if (mailboxes.length === 0 || trimBlanks(value.slice(at)) !== '')
      return { kind: 'refused', why: noAddress }
    if (mailboxes.length > mailboxesMax)
      return { kind: 'refused', why: `it has over ${mailboxesMax} addresses` }
    at = element.end + 1
  }
  return { kind: 'parsed', mailboxes }
}

type Element =
  /** `end` is the comma or the end of the value; no mailbox for an empty element (RFC 5322 §4.4). */
  | { readonly kind: 'read'; readonly mailbox: Mailbox | undefined; readonly end: number }
  | { readonly kind: 'wrong'; readonly why: string }

/** What has been read of one element: the words before an angle bracket, or a bare address. */
interface Words {
  /** Unquoted text, words parted by one space. */
  text: string
  /** The bare address: raw text without comments; not usable when words were parted by space. */
  raw: string
  isParted: boolean
  hasAt: boolean
  hasBracket: boolean
}

function wrong(why: string): { readonly kind: 'wrong'; readonly why: string } {
  return { kind: 'wrong', why }
}

/** Reads from `start` to the next comma outside of quotes, comments and brackets. */
function readElement(value: string, start: number): Element {
  const words: Words = { text: '', raw: '', isParted: false, hasAt: false, hasBracket: false }
  let isAfterSpace = false
  let at = start
  while (at < value.length && value[at] !== ',') {
    const char = value[at]!
    if (char === ' ' || char === '\t') {
      isAfterSpace = true
      at++
    } else if (char === '(') {
      const end = skipComment(value, at)
      if (end === undefined)
        return wrong('a comment in parentheses does not end, or has another one or a backslash in it')
      isAfterSpace = true
      at = end
    } else if (char === '<') return readAngle(value, at, words)
    else {
      const end = char === '"' ? endOfQuoted(value, at) : endOfAtom(value, at)
      if (end === undefined) return wrong('a quoted display name does not end; close it with "')
      if (end === at) return wrong(misplaced(char))
      addWord(words, value.slice(at, end), isAfterSpace)
      isAfterSpace = false
      at = end
    }
  }
  if (words.raw === '') return { kind: 'read', mailbox: undefined, end: at }
  if (!words.hasAt)
    return wrong(`${quote(words.text)} is no address; a display name with a comma needs quotes`)
  if (words.isParted) return wrong(`${quote(words.text)} has spaces in the address`)
  return finish('', words.raw, at)
}

/** Reads `<address>` and what may follow it: white space and comments. */
function readAngle(value: string, start: number, words: Words): Element {
  const close = endOfAngle(value, start)
  if (close === undefined) return wrong('the angle bracket < is not closed')
  const address = trimBlanks(value.slice(start + 1, close))
  if (address === '') return wrong('the angle brackets are empty')
  // An unquoted address as display name is read by some as the sender: allowed only when it is the same one.
  if (words.hasAt && words.text !== address) {
    return wrong(`the display name ${quote(words.text)} has an @; put it in quotes`)
  }
  // Square brackets need quotes; without them some readers take a quoted or encoded word beside them for the address.
  if (words.hasBracket && (words.raw.includes('"') || encodedWord.test(words.raw)))
    return wrong('the display name has square brackets and other quoting; put all of it in quotes')
  let at = close + 1
  while (at < value.length && value[at] !== ',') {
    const char = value[at]!
    const end = char === '(' ? skipComment(value, at) : char === ' ' || char === '\t' ? at + 1 : undefined
    if (end === undefined) return wrong(`there is something behind the address ${quote(address)}`)
    at = end
  }
  return finish(words.text, address, at)
}

function finish(name: string, address: string, end: number): Element {
  const parsed = parseAddress(address)
  if (!parsed.ok) return wrong(`${quote(address)}: ${parsed.why}`)
  const { localPart, domain, isUtf8 } = parsed.value
  // Some readers take an address to be between the first brackets, quoted or not.
  if (/[<>]/.test(localPart)) return wrong(`${quote(address)} has an angle bracket in its local part`)
  if (localPart === '""') return wrong(`${quote(address)} has an empty local part`)
  // RFC 2047 §5 forbids it; some readers decode it all the same, and see another address.
  if (encodedWord.test(localPart)) return wrong(`${quote(address)} has an encoded word in the address`)
  return { kind: 'read', mailbox: { name, localPart, domain, isUtf8 }, end }
}

function addWord(words: Words, raw: string, isAfterSpace: boolean): void {
  const isQuoted = raw.startsWith('"')
  if (words.raw !== '' && isAfterSpace) {
    words.isParted = true
    words.text += ' '
  }
  words.text += isQuoted ? unquote(raw) : raw
  words.raw += raw
  if (!isQuoted && raw.includes('@')) words.hasAt = true
  if (!isQuoted && /[[\]]/.test(raw)) words.hasBracket = true
}

/**
 * Behind the closing parenthesis; undefined when it is missing. Nor may a comment hold another one or a backslash: some
 * readers end it at the first parenthesis that closes, and take what follows for the address.
 */
function skipComment(value: string, start: number): number | undefined {
  for (let at = start + 1; at < value.length; at++) {
    const char = value[at]
    if (char === '\\' || char === '(' || isControl(value.charCodeAt(at))) return undefined
    if (char === ')') return at + 1
  }
  return undefined
}

/** Behind the closing quote. */
function endOfQuoted(value: string, start: number): number | undefined {
  for (let at = start + 1; at < value.length; at++) {
    if (isControl(value.charCodeAt(at))) return undefined
    if (value[at] === '\\') at++
    else if (value[at] === '"') return at + 1
  }
  return undefined
}

/** Behind a run of characters that need no quotes; square brackets are let pass, since they mean nothing here. */
function endOfAtom(value: string, start: number): number {
  let at = start
  while (at < value.length && !' \t",()<>:;\\'.includes(value[at]!) && !isControl(value.charCodeAt(at))) at++
  return at
}

/** The closing bracket, quotes in the local part minded. */
function endOfAngle(value: string, start: number): number | undefined {
  for (let at = start + 1; at < value.length; at++) {
    const char = value[at]
    if (char === '>') return at
    if (char === '<') return undefined
    if (char === '"') {
      const end = endOfQuoted(value, at)
      if (end === undefined) return undefined
      at = end - 1
    }
  }
  return undefined
}

function isControl(code: number): boolean {
  return (code < 0x20 && code !== 0x09) || code === 0x7f
}

function misplaced(char: string): string {
  if (char === ':' || char === ';') return 'it has a group (name: address;) or a colon outside of quotes'
  if (isControl(char.charCodeAt(0))) return 'it has a control character'
  return `the character ${char} is not in its place; put the display name in quotes`
}

function unquote(raw: string): string {
  let text = ''
  for (let at = 1; at < raw.length - 1; at++) {
    if (raw[at] === '\\') at++
    text += raw[at]
  }
  return text
}

/** For reasons: short, and without characters that could break a reply or a log line. */
function quote(text: string): string {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
  // JSON leaves these as they are; terminals and line readers do not.
  return shown.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    odd => `\\u${odd.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
