// Reads the repository's source for the tidy test: files, their imports, and code apart from comments and strings.
//
// It is a scanner and no parser: it knows comments, strings, templates and (by what stands before them) regular
// expressions, which is enough for the rules in rules.ts. What it cannot know is left to the compiler and Biome.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

export interface Import {
  /** As written. */
  readonly specifier: string
  /** Path in the repository for relative imports, '' for packages. */
  readonly path: string
  readonly isTypeOnly: boolean
  /** Imported names, without those marked `type`. */
  readonly names: readonly string[]
}

export interface SourceFile {
  /** Path in the repository, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly lineCount: number
  /** The text with comments and the insides of strings blanked out. */
  readonly code: string
  readonly comments: readonly string[]
  readonly strings: readonly string[]
  /** Regular expressions as they are written, with slashes and flags. */
  readonly patterns: readonly string[]
  readonly imports: readonly Import[]
  /** First folder under src (`main` for src/main.ts), '' outside of src. */
  readonly room: string
  /** Unit tests, fuzz targets and their kits: may use everything. */
  readonly isTest: boolean
}

const root: string = join(import.meta.dirname, '..', '..')

/** All files below a folder whose name ends so, sorted. */
export function filesBelow(folder: string, ending: string): string[] {
  let names: string[]
  try {
    names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
  return names
    .map(name => `${folder}/${name}`)
    .filter(path => path.endsWith(ending) && !/(^|\/)(node_modules|\.[^/]+|results)\//.test(path))
    .sort()
}

/** The text of a file of the repository; '' when there is none. */
export function readText(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return ''
  }
}

export function readSource(path: string): SourceFile {
  const text = readText(path)
  const { code, comments, strings, patterns } = scan(text)
  const inSrc = /^src\/([^/]+?)(?:\.ts)?(?:\/|$)/.exec(path)
  return {
    path,
    text,
    lineCount: text.split('\n').length - 1,
    code,
    comments,
    strings,
    patterns,
    imports: importsOf(path, text, code),
    room: inSrc?.[1] ?? '',
    isTest:
      !path.startsWith('src/') || /(\.test|\.fuzz)\.ts$|(^|\/)(test-kit[^/]*\.ts$|testing\/)/.test(path),
  }
}

function importsOf(path: string, text: string, code: string): Import[] {
  const found: Import[] = []
  const statement =
    /^(?:import|export)\s+(type\s+)?((?:[\w$]+\s*,?\s*)?(?:\{[^}]*\}|\*(?:\s+as\s+[\w$]+)?)?)\s*(?:from\s+)?'|\bimport\('/gm
  for (const match of code.matchAll(statement)) {
    const start = match.index + match[0].length
    const specifier = text.slice(start, text.indexOf("'", start))
    const list = match[2] ?? ''
    const names = [...list.matchAll(/(?:^|[{,])\s*(type\s+)?([\w$]+)/g)]
      .filter(one => !one[1])
      .map(one => one[2]!)
    const isTypeOnly =
      match[1] !== undefined || match[0].startsWith('import(') || (list.startsWith('{') && names.length === 0)
    found.push({ specifier, path: target(path, specifier), isTypeOnly, names: match[1] ? [] : names })
  }
  return found
}

function target(path: string, specifier: string): string {
  if (!specifier.startsWith('.')) return ''
  return relative('.', normalize(join(dirname(path), specifier))).replaceAll('\\', '/')
}

/** Parts code from comments and strings; everything keeps its place. */
export function scan(text: string): {
  code: string
  comments: string[]
  strings: string[]
  patterns: string[]
} {
  const comments: string[] = []
  const strings: string[] = []
  const patterns: string[] = []
  let code = ''
  let at = 0
  /** For each open `${`: how many braces are open inside. */
  const templates: number[] = []
  const take = (end: number, into: string[] | null) => {
    const part = text.slice(at, end)
    into?.push(part)
    code += into === null ? part : blank(part)
    at = end
  }
  while (at < text.length) {
    const c = text[at]
    const two = text.slice(at, at + 2)
    if (two === '//') take(endOf(text, '\n', at), comments)
    else if (two === '/*') take(endOf(text, '*/', at + 2, 2), comments)
    else if (c === "'" || c === '"') take(quotedEnd(text, at, c), strings)
    else if (c === '`' || (c === '}' && templates.at(-1) === 0)) {
      if (c === '}') templates.pop()
      const { end, isOpen } = templateEnd(text, at + 1)
      take(end, strings)
      if (isOpen) templates.push(0)
    } else if (c === '/' && isRegexStart(code)) take(regexEnd(text, at), patterns)
    else {
      if (templates.length > 0 && c === '{') templates[templates.length - 1]!++
      if (templates.length > 0 && c === '}') templates[templates.length - 1]!--
      take(at + 1, null)
    }
  }
  return { code, comments, strings, patterns }
}

/** Quotes stay, so that statements keep their form. */
function blank(part: string): string {
  const inside = part.replace(/[^\n]/g, ' ')
  const isQuoted = /^['"]/.test(part) && part.length > 1
  return isQuoted ? `${part[0]}${inside.slice(2)}${part[0]}` : inside
}

function endOf(text: string, mark: string, from: number, more: number = 0): number {
  const found = text.indexOf(mark, from)
  return found < 0 ? text.length : found + more
}

function quotedEnd(text: string, start: number, quote: string): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === quote || text[i] === '\n') return i + 1
  }
  return text.length
}

/** Up to the closing backtick, or up to and with `${` (then code follows). */
function templateEnd(text: string, start: number): { end: number; isOpen: boolean } {
  for (let i = start; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '`') return { end: i + 1, isOpen: false }
    else if (text[i] === '$' && text[i + 1] === '{') return { end: i + 2, isOpen: true }
  }
  return { end: text.length, isOpen: false }
}

/** A slash is a division after a value, else it starts a regular expression. */
function isRegexStart(codeBefore: string): boolean {
  const before = codeBefore.trimEnd()
  // `x!` is a value that is not null.
  if (/[\w$)\]]!$/.test(before)) return false
  return (
    /(^|[=(,:[!&|?{};>+~^%<*-])$/.test(before) || /\b(return|typeof|case|in|of|yield|await)$/.test(before)
  )
}

function regexEnd(text: string, start: number): number {
  let isClass = false
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '[') isClass = true
    else if (text[i] === ']') isClass = false
    else if (text[i] === '\n') return i + 1
    else if (text[i] === '/' && !isClass) return i + 1 + /^[a-z]*/.exec(text.slice(i + 1))![0].length
  }
  return text.length
}
