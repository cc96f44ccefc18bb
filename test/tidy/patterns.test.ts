// Every regular expression of the product that may meet what others send, over 100 KiB of what is worst for it.
//
// None may take 20 ms on a core: one that goes back and forth takes seconds or minutes. The texts are pieces without
// end, with an end that does not fit: single characters, pairs, and what the pattern itself looks for, part by part.
// What only ever sees short texts is measured with such, and the table says what bounds them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fastestCpuMs } from '../support/cpu-time.ts'
import { filesBelow, readSource } from './source.ts'

const costMsMax = 20
const lengthMax = 100 * 1024

/** Rooms whose texts are the operator's own. */
const ownRooms = new Set(['cli', 'lab', 'config'])

/** Patterns that never see a long text. */
const bounded: readonly { readonly pattern: string; readonly charactersMax: number; readonly why: string }[] =
  [
    {
      pattern: String.raw`/^(?:[a-z0-9-]+\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/`,
      charactersMax: 255,
      why: 'a domain that normalizeDomain has let through',
    },
  ]

const commonPieces = [
  ...'aAfgz0 9-._~:;,@=?!+/\\"\'()<>[]{}%&#$^*|\t\r\n\0\x7f\xa0üЖ\u2028😀',
  ...['a ', ' a', 'a.', 'a-', '-a', '0.', '5.', 'a:', '::', '1:', '\\"', '\\(', '=?', '=?a?q?', '+2', '\\x{'],
  ...['a/', '\r\n', '\r\n ', ' \r\n', ', ', '; ', 'a@a.', '<a>', 'x='],
]
/** No pattern looks for it behind something else, so that none can be satisfied early. */
const end = '\0'

// The marks of a pattern that was made a text: here its parts begin and end, or another alternative begins.
const cut = '\u{e000}'
const or = '\u{e001}'
const token =
  /\\(?:p\{[^}]*\}|x[\dA-F]{2}|u\{[\dA-F]+\}|u[\dA-F]{4}|.)|\[(?:\\.|[^\]\\])*\]|\{\d+,?\d*\}|\(\?(?:[:=!]|<[=!]|<\w+>)|./gis

const escapes: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['0', '\0'],
])

/** One text for a token of a pattern. */
function textOf(part: string): string {
  if (part === '|') return or
  if (part === '.') return `${cut}a${cut}`
  if (/^[(){*+?]/.test(part)) return cut
  if (part === '^' || part === '$') return ''
  if (part.startsWith('[^')) return `${cut}x${cut}`
  if (part.startsWith('[')) {
    const [first = ''] = part.slice(1).match(token) ?? []
    return `${cut}${first.length === 1 ? first : textOf(first).replaceAll(cut, '')}${cut}`
  }
  if (!part.startsWith('\\')) return part
  const name = part[1]!
  if (name === 'b' || name === 'B') return ''
  if (name === 'd' || name === 's') return `${cut}${name === 'd' ? '0' : ' '}${cut}`
  if ('wDWS'.includes(name)) return `${cut}a${cut}`
  if (name === 'p') return `${cut}\0${cut}`
  const number = /^\\[xu]\{?([\dA-F]+)\}?$/i.exec(part)?.[1]
  if (number !== undefined) return String.fromCodePoint(Number.parseInt(number, 16))
  return escapes.get(name) ?? name
}

/** Texts made of a pattern: each part of it, and each part behind all that stand before it. */
function partsOf(source: string): { readonly before: string; readonly part: string }[] {
  const text = (source.match(token) ?? []).map(textOf).join('')
  return text.split(or).flatMap(alternative => {
    let before = ''
    return alternative
      .split(cut)
      .filter(part => part !== '')
      .map(part => {
        const one = { before, part }
        before += part
        return one
      })
  })
}

function* worstTexts(source: string, length: number): Generator<string, undefined> {
  const filled = (piece: string): string => piece.repeat(Math.ceil(length / piece.length)).slice(0, length)
  const parts = partsOf(source)
  const pieces = parts.flatMap(({ before, part }) => [part, `${part} `, before + part])
  const bodies = [...commonPieces, ...pieces].map(filled)
  const tails = parts.filter(({ before }) => before !== '').map(({ before, part }) => before + filled(part))
  for (const body of new Set([...bodies, ...tails])) yield body + end
}

const files = filesBelow('src', '.ts')
  .map(readSource)
  .filter(file => !file.isTest && !ownRooms.has(file.room))

for (const { path, patterns } of files.filter(file => file.patterns.length > 0))
  test(`100 KiB of the worst cost no regular expression of ${path} 20 ms`, t => {
    let slowest = { costMs: 0, what: '' }
    for (const written of new Set(patterns)) {
      const [, source = '', flags = ''] = /^\/(.*)\/([a-z]*)$/s.exec(written)!
      const pattern = new RegExp(source, flags)
      const length = bounded.find(one => one.pattern === written)?.charactersMax ?? lengthMax
      for (const text of worstTexts(source, length)) {
        const work = (): void => void (pattern.global ? text.replace(pattern, '') : pattern.exec(text))
        // Most are far below, and need no second look.
        const onceMs = fastestCpuMs(work, 1)
        const costMs = onceMs < costMsMax / 2 ? onceMs : Math.min(onceMs, fastestCpuMs(work, 5))
        if (costMs > slowest.costMs)
          slowest = { costMs, what: `${written} with ${JSON.stringify(text.slice(0, 20))}…` }
        assert.ok(costMs < costMsMax, `${costMs} ms: ${slowest.what}`)
      }
    }
    t.diagnostic(`${slowest.costMs.toFixed(2)} ms: ${slowest.what}`)
  })

test('a pattern that goes back and forth is found', () => {
  for (const [source, length] of [
    ['a+b', 30_000],
    ['[0-9A-F]+:error:', 30_000],
    [' +$', 30_000],
    ['-----BEGIN [A-Z ]*KEY-----.*?-----END', lengthMax],
  ] as const) {
    const pattern = new RegExp(source)
    const isFound = worstTexts(source, length).some(
      text => fastestCpuMs(() => void pattern.exec(text), 1) > costMsMax,
    )
    assert.ok(isFound, source)
  }
})

test('each pattern of the table of short texts exists', () => {
  const all = new Set(files.flatMap(file => file.patterns))
  for (const { pattern } of bounded) assert.ok(all.has(pattern), pattern)
})
