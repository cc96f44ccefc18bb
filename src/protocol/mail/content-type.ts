// Reads a Content-Type value (RFC 2045 §5.1): type, subtype, parameters.
//
// Place on the path: the MIME tree of the re-encoder. Invariants: linear time; never throws; what cannot be
// read is left out, so a caller that needs a parameter (boundary) has to look whether it is there.

/** A Content-Type as far as it can be read. */
export interface ContentType {
  /** `type/subtype` in lower case; '' when it cannot be read. */
  readonly type: string
  /** Parameters by lower-case name; the first of a name counts. */
  readonly params: ReadonlyMap<string, string>
}

/** Reads an unfolded value. */
export function parseContentType(value: string): ContentType {
  const params = new Map<string, string>()
  let at = skipSpace(value, 0)
  const typeEnd = endOfToken(value, at)
  const slash = skipSpace(value, typeEnd)
  const subtypeStart = skipSpace(value, slash + 1)
  const subtypeEnd = endOfToken(value, subtypeStart)
  if (value[slash] !== '/' || typeEnd === at || subtypeEnd === subtypeStart) return { type: '', params }
  const type = `${value.slice(at, typeEnd)}/${value.slice(subtypeStart, subtypeEnd)}`.toLowerCase()
  at = skipSpace(value, subtypeEnd)
  while (at < value.length) {
    if (value[at] !== ';') {
      // Junk between parameters: go on behind the next semicolon.
      const next = value.indexOf(';', at)
      if (next === -1) break
      at = next
    }
    at = readParameter(value, skipSpace(value, at + 1), params)
  }
  return { type, params }
}

/** Reads `name=value` at `start`; gives the offset to go on from. */
function readParameter(value: string, start: number, params: Map<string, string>): number {
  const nameEnd = endOfToken(value, start)
  const equals = skipSpace(value, nameEnd)
  if (nameEnd === start || value[equals] !== '=') return equals
  const name = value.slice(start, nameEnd).toLowerCase()
  let at = skipSpace(value, equals + 1)
  let text = ''
  if (value[at] === '"') {
    // By stretches: a value may have a million characters.
    let from = ++at
    while (at < value.length && value[at] !== '"') {
      if (value[at] === '\\') {
        text += value.slice(from, at)
        from = ++at
      }
      at++
    }
    text += value.slice(from, at)
    at++
  } else {
    // A value should be a token; unquoted `=`, `/` and the like in boundaries are common and harmless.
    const end = endOfLooseValue(value, at)
    text = value.slice(at, end)
    at = end
  }
  if (!params.has(name)) params.set(name, text)
  return skipSpace(value, at)
}

function endOfToken(value: string, start: number): number {
  let at = start
  while (at < value.length && value.charCodeAt(at) > 0x20 && !'()<>@,;:\\"/[]?='.includes(value[at]!)) at++
  return at
}

function endOfLooseValue(value: string, start: number): number {
  let at = start
  while (at < value.length && value.charCodeAt(at) > 0x20 && value[at] !== ';' && value[at] !== '(') at++
  return at
}

/** Behind white space and comments; a comment that does not end reaches to the end. */
function skipSpace(value: string, start: number): number {
  let at = start
  let depth = 0
  for (; at < value.length; at++) {
    const char = value[at]
    if (char === '(') depth++
    else if (depth > 0) {
      if (char === ')') depth--
      else if (char === '\\') at++
    } else if (value.charCodeAt(at) > 0x20) return at
  }
  return Math.min(at, value.length)
}
