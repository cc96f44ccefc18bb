// The page of attacks names the test that shows each answer: every one of them must exist.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '../..')
const reference = /`((?:src|test)\/[^`]+\.test\.ts)`: “([^”]+)”/g

test('each test that the page of attacks names exists', () => {
  const page = readFileSync(join(root, 'docs/operating/attacks.md'), 'utf8')
  const rows = page.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| Attack'))
  let found = 0
  for (const row of rows) {
    const named = [...row.matchAll(reference)]
    assert.ok(named.length > 0, `no test is named in: ${row}`)
    for (const [, file = '', name = ''] of named) {
      const source = readFileSync(join(root, file), 'utf8')
      // What stands for a payload in a name is made by the test.
      for (const part of name.split('…')) assert.ok(source.includes(part.trim()), `${file} has no “${name}”`)
      found++
    }
  }
  assert.ok(found > 50, `${found} tests are named`)
})
