import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkName } from './name.ts'

test('a name begins with a letter or digit and goes on with these, dots, hyphens and underscores', () => {
  for (const name of ['a', '7', 'shop', 'shop-2.eu_west', 'acc_', 'x'.repeat(64)])
    assert.deepEqual(checkName(name), { ok: true, name })
})

test('anything else is no name, and the sentence says what is', () => {
  for (const name of ['', 'Shop', 'my shop', '-shop', '.shop', 'shop\n', 'bücher', 'x'.repeat(65)]) {
    const checked = checkName(name)
    assert.ok(!checked.ok, name)
    assert.match(checked.why, /is not a name: use 1 to 64 of a-z/)
  }
})

test('what looks like an id is no name, so that a flag may take either', () => {
  const checked = checkName(`acc_${'a'.repeat(26)}`)
  assert.ok(!checked.ok)
  assert.match(checked.why, /looks like an id/)
})
