import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearestName } from './problem.ts'
import { configSections, keyAt } from './schema.ts'

test('every key says what it is for, since when, and what it is when left out or that it is required', () => {
  for (const section of configSections)
    for (const key of Object.values(section.keys)) {
      const name = `${section.name}.${key.name}`
      assert.match(key.name, /^[a-z][a-z_]*$/, name)
      assert.match(key.text, /^[A-Z`].*[.]$/s, name)
      assert.match(key.since, /^\d+\.\d+\.\d+$/, name)
      if (key.isOptional) assert.ok(key.whenMissing !== undefined, name)
      if (key.form === 'integer') assert.ok(key.unit !== undefined, name)
    }
})

test('every limit has a reason and a unit', () => {
  const limits = configSections.find(one => one.name === 'limits')
  for (const key of Object.values(limits!.keys)) assert.ok(key.reason && key.unit, key.name)
})

test('no two keys of a section share a name', () => {
  for (const section of configSections) {
    const names = Object.values(section.keys).map(key => key.name)
    assert.equal(new Set(names).size, names.length, section.name)
    for (const name of names) {
      const path =
        section.name === ''
          ? [name]
          : section.form === 'list'
            ? [section.name, 0, name]
            : [section.name, name]
      assert.equal(keyAt(path)?.name, name)
    }
  }
})

test('the edit distance is zero for equal texts, symmetric, and at most the longer length', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      assert.equal(editDistance(a, a), 0)
      assert.equal(editDistance(a, b), editDistance(b, a))
      assert.ok(editDistance(a, b) <= Math.max(a.length, b.length))
    }),
  )
  assert.equal(editDistance('kitten', 'sitting'), 3)
})

test('a name that is like nothing has no nearest name', () => {
  assert.equal(nearestName('mesage_size', ['message_size', 'header_size']), 'message_size')
  assert.equal(nearestName('zzzzzz', ['port', 'bind']), undefined)
})
