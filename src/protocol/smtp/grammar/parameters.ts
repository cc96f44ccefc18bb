// ESMTP parameters behind a path: ` KEY=value KEY` (RFC 5321 §4.1.2, `Mail-parameters`).
//
// Only the shape is judged here; what a keyword means is the business of its command. A keyword given twice
// is refused, so that no two readers can disagree about which one counts.

import type { Parsed } from '../../mail/index.ts'

/** One parameter; `value` is null when there was no `=`. */
export interface EsmtpParameter {
  /** Upper case. */
  readonly keyword: string
  readonly value: string | null
}

const none: readonly EsmtpParameter[] = Object.freeze([])
const keywordPattern = /^[A-Za-z0-9][A-Za-z0-9-]*$/
// Characters outside ASCII occur only in ORCPT under SMTPUTF8 (RFC 6533 §3).
const valuePattern = /^[!-<>-~\u0080-\u{10ffff}]+$/u

/** Parses the text behind a path. */
export function parseParameters(text: string): Parsed<readonly EsmtpParameter[]> {
  if (text === '') return { ok: true, value: none }
  const parameters: EsmtpParameter[] = []
  for (const word of text.split(' ')) {
    if (word === '') continue
    const equals = word.indexOf('=')
    const keyword = (equals < 0 ? word : word.slice(0, equals)).toUpperCase()
    const value = equals < 0 ? null : word.slice(equals + 1)
    if (!keywordPattern.test(keyword)) return { ok: false, why: 'a parameter has no valid keyword' }
    if (value !== null && !valuePattern.test(value))
      return { ok: false, why: `the value of ${keyword} is empty or has a character that is not allowed` }
    if (parameters.some(p => p.keyword === keyword)) return { ok: false, why: `${keyword} is given twice` }
    parameters.push({ keyword, value })
  }
  return { ok: true, value: parameters }
}
