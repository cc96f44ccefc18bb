// The tidy test: holds the rules of the repository from the table in tidy/rules.ts.
//
// Each test gathers every violation, so that one run shows all of them with file and reason.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  banned,
  constructible,
  libraryRules,
  mayConstruct,
  portFiles,
  roomRules,
  sizes,
} from './tidy/rules.ts'
import { filesBelow, readSource, readText, type SourceFile, scan } from './tidy/source.ts'

const sources: readonly SourceFile[] = ['src', 'test', 'bench', 'scripts']
  .flatMap(folder => filesBelow(folder, '.ts'))
  .map(readSource)
const product = sources.filter(file => file.room !== '' && !file.isTest)

function none(violations: readonly string[]): void {
  assert.equal(violations.length, 0, `\n  ${violations.join('\n  ')}\n`)
}

const roomOf = (path: string) => sources.find(file => file.path === path)?.room ?? path.split('/')[1] ?? ''

test('rooms import only the rooms that the table allows them', () => {
  const violations: string[] = []
  for (const file of product) {
    const rule = roomRules.find(one => one.room === file.room)
    if (rule === undefined) violations.push(`${file.path}: the room ${file.room} is not in the table`)
    for (const one of file.imports.filter(
      each => each.path !== '' && !each.specifier.endsWith('/package.json'),
    )) {
      const room = roomOf(one.path)
      if (room === file.room || rule === undefined || rule.mayImport.includes(room)) continue
      if (one.isTypeOnly && rule.mayImportTypesOf?.includes(room)) continue
      const how = rule.mayImportTypesOf?.includes(room) ? ' other than types' : ''
      violations.push(
        `${file.path}: ${file.room} must not import ${room}${how} (${one.specifier}): ${rule.why}`,
      )
    }
  }
  none(violations)
})

test('a room is used from outside through an index.ts, or for types through its ports', () => {
  none(
    sources
      .filter(file => !file.isTest)
      .flatMap(file =>
        file.imports
          .filter(one => one.path.startsWith('src/') && roomOf(one.path) !== file.room)
          .filter(one => !one.path.endsWith('/index.ts') && !(one.isTypeOnly && portFiles.test(one.path)))
          .filter(one => file.room !== 'main' || !/^src\/(app|cli)\//.test(one.path))
          .map(one => `${file.path}: ${one.specifier} is the inside of ${roomOf(one.path)}`),
      ),
  )
})

test('the import graph has no cycles', () => {
  const edges = new Map(
    product.map(file => [
      file.path,
      file.imports.filter(one => !one.isTypeOnly && one.path !== '').map(one => one.path),
    ]),
  )
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]) => {
    const seen = trail.indexOf(path)
    if (seen >= 0) cycles.push([...trail.slice(seen), path].join(' → '))
    if (seen >= 0 || done.has(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  none(cycles)
})

test('only app constructs the parts of the server', () => {
  const violations: string[] = []
  for (const file of product.filter(one => one.room !== 'app'))
    for (const one of file.imports.filter(each => each.path !== '' && !each.isTypeOnly)) {
      const room = roomOf(one.path)
      if (room === file.room || constructible.includes(room)) continue
      for (const name of one.names)
        if (
          new RegExp(`\\bnew ${name}\\b`).test(file.code) &&
          !mayConstruct.some(each => each.room === file.room && each.name === name)
        )
          violations.push(`${file.path}: constructs ${name} of ${room}; take it as a parameter`)
    }
  none(violations)
})

test('libraries are used only by the rooms that they were chosen for', () => {
  none(
    product.flatMap(file =>
      file.imports
        .filter(one => one.path === '')
        .filter(one =>
          libraryRules.some(rule => rule.library.test(one.specifier) && !rule.rooms.includes(file.room)),
        )
        .map(one => `${file.path}: ${one.specifier} is not for ${file.room}`),
    ),
  )
})

test('nothing that is banned is written', () => {
  const violations: string[] = []
  for (const file of sources)
    for (const rule of banned) {
      if (rule.except?.test(file.path)) continue
      const parts = rule.inside === 'code' ? [file.code] : file[rule.inside]
      const found = parts.map(part => rule.pattern.exec(part)?.[0]).find(match => match !== undefined)
      if (found !== undefined) violations.push(`${file.path}: ${rule.name} (${found.trim().slice(0, 40)})`)
    }
  none(violations)
})

test('programs are started only by tests, benches and scripts', () => {
  none(
    sources
      .filter(file => !file.isTest)
      .filter(file => file.imports.some(one => /^(node:)?child_process$/.test(one.specifier)))
      .map(file => `${file.path}: imports child_process`),
  )
})

test('no file is too long, most are short, and the median is shorter', () => {
  const long = sources.filter(file => file.lineCount > sizes.linesMax)
  none(long.map(file => `${file.path}: ${file.lineCount} lines, the limit is ${sizes.linesMax}`))
  const inSrc = sources.filter(file => file.room !== '')
  const most = inSrc.filter(file => file.lineCount <= sizes.linesOfMost).length / inSrc.length
  assert.ok(most >= 0.9, `only ${Math.round(most * 100)} % of src is at most ${sizes.linesOfMost} lines long`)
  const lengths = product.map(file => file.lineCount).sort((a, b) => a - b)
  const median = lengths[Math.floor(lengths.length / 2)] ?? 0
  assert.ok(median < sizes.linesMedian, `the median of src is ${median} lines`)
})

test('every source file starts by saying what it is for', () => {
  const violations: string[] = []
  for (const file of product) {
    const header = /^(?:\/\/.*\n)+/.exec(file.text)?.[0] ?? ''
    const count = header.split('\n').length - 1
    if (count === 0) violations.push(`${file.path}: has no header comment`)
    else if (file.lineCount > sizes.linesOfSmall && count < sizes.headerLinesMin)
      violations.push(`${file.path}: its header has ${count} line(s); say its place and its invariants`)
    else if (count > sizes.headerLinesMax) violations.push(`${file.path}: its header has ${count} lines`)
  }
  none(violations)
})

test('file names are kebab-case', () => {
  none(
    sources
      .filter(
        file =>
          !/^[a-z0-9]+(-[a-z0-9]+)*(\.(test|fuzz|worker))?\.ts$/.test(file.path.split('/').at(-1) ?? ''),
      )
      .map(file => file.path),
  )
})

test('RFCs are cited in one form: RFC 5321 §4.5.3.2', () => {
  const violations: string[] = []
  for (const file of sources)
    for (const comment of file.comments)
      for (const match of comment
        .replace(/`[^`\n]*`/g, '·')
        .matchAll(/(?<!\/)\brfc[\s-]?\d{3,5}\b(?!;).{0,12}/gi)) {
        const isGood = /^RFC \d{3,5}(?! ?(?:section|sect?\.|s\d|, ?§|§))(?: §\d+(?:\.\d+)*)?/i.test(match[0])
        if (!isGood || !match[0].startsWith('RFC ')) violations.push(`${file.path}: ${match[0].trim()}`)
      }
  none(violations)
})

test('no word stands twice in a row in docs and comments', () => {
  const doubled = /(?<![\w-])([a-z]{2,})(?: |\n[ \t]*)\1(?![\w-])/gi
  const pages = [
    ...filesBelow('docs', '.md'),
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'CHANGELOG.md',
  ]
  const texts = pages.map(path => ({ path, text: readText(path).replace(/```[\s\S]*?```|`[^`\n]*`/g, '·') }))
  const comments = sources.map(file => ({
    path: file.path,
    text: file.comments
      .map(one => one.replace(/^\s*(?:\/\/|\/\*\*?|\*)|@param [\w.]+/gm, ' ').replace(/`[^`\n]*`/g, '·'))
      .join('\n·'),
  }))
  none(
    [...texts, ...comments].flatMap(({ path, text }) =>
      [...text.matchAll(doubled)].map(match => `${path}: ${match[0].replace(/\s+/g, ' ')}`),
    ),
  )
})

test('the scanner of this test knows comments, strings, templates and regular expressions apart', () => {
  const { code, comments, strings, patterns } = scan(
    `const a = 'x // y' // c1\nconst b = \`t \${f('in') /* c2 */} u\` + /[/]'/gi.test(q)\nlet d = 4 / 2 + q[0]! / 2 // c3\n`,
  )
  assert.deepEqual(comments, ['// c1', '/* c2 */', '// c3'])
  assert.deepEqual(strings, ["'x // y'", '`t ${', "'in'", '} u`'])
  assert.deepEqual(patterns, ["/[/]'/gi"])
  assert.match(code, /let d = 4 \/ 2/)
  assert.ok(!code.includes('[/]'))
})
