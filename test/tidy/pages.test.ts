// What the pages name exists: files, folders, headings, and each function of ARCHITECTURE's path of a message in its file.

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { filesBelow, readText } from './source.ts'

const root = join(import.meta.dirname, '../..')
const pages = [
  ...globSync('*.md', { cwd: root }),
  ...filesBelow('docs', '.md'),
  ...filesBelow('bench', '.md'),
].sort()
/** Folders that programs make. */
const made = /^(?:bench\/(?:results|\.peers)|test\/fuzz\/findings)/

function exists(path: string): boolean {
  return path.includes('*') ? globSync(path, { cwd: root }).length > 0 : existsSync(join(root, path))
}

/** Anchors of a page, as forges make them of headings. */
function anchorsOf(page: string): string[] {
  return [...readText(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}

for (const page of pages)
  test(`what ${page} names exists`, () => {
    const text = readText(page)
    for (const [, link = '', anchor = ''] of text.matchAll(
      /\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]*))?\)/g,
    )) {
      const path = link === '' ? page : normalize(join(dirname(page), link))
      assert.ok(existsSync(join(root, path)), `there is no ${path}`)
      if (anchor !== '') assert.ok(anchorsOf(path).includes(anchor), `${path} has no heading #${anchor}`)
    }
    const named = /(?<![\w/.])(?:src|test|docs|bench|deploy|scripts|bin)\/[\w./*-]*\w/g
    for (const [path] of text.matchAll(named))
      if (!made.test(path)) assert.ok(exists(path), `there is no ${path}`)
  })

test('the path of a message names functions that are in their files', () => {
  const rows = [...readText('ARCHITECTURE.md').matchAll(/^ {3,5}([\w.#]+) +(src\/\S+\.ts)/gm)]
  assert.ok(rows.length > 30, `${rows.length} functions are named`)
  for (const [, name = '', path = ''] of rows) {
    const source = readFileSync(join(root, path), 'utf8')
    const [owner = '', method] = name.split('.')
    assert.match(source, new RegExp(`^export (?:async )?(?:class|interface|function) ${owner}\\b`, 'm'), name)
    if (method !== undefined) assert.match(source, new RegExp(`^ {2}(?:async )?${method}\\(`, 'm'), name)
  }
})
