import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Column, formatTable } from './table.ts'
import { displayWidth, painter, plain } from './text.ts'

const paint = painter(false)
const columns: readonly Column<readonly [string, string]>[] = [
  { title: 'NAME', cell: ([name]) => name },
  { title: 'N', cell: ([, count]) => count, isRight: true },
]

test('columns are as wide as their widest cell, numbers stand to the right', () => {
  const rows = [
    ['a', '1'],
    ['longer', '1000'],
  ] as const
  assert.equal(formatTable(columns, rows, paint, 'none'), 'NAME       N\na          1\nlonger  1000\n')
  assert.equal(formatTable(columns, [], paint, 'none'), 'none\n')
})

test('a table may have hundreds of thousands of rows', () => {
  const rows = Array.from({ length: 300_000 }, () => ['a', '1'] as const)
  assert.equal(formatTable(columns, rows, paint, '').length, 300_001 * 'NAME  N\n'.length)
})

test('East Asian characters count twice and combining marks not at all', () => {
  assert.equal(displayWidth('日本'), 4)
  assert.equal(displayWidth('e\u0301'), 1)
  const table = formatTable(
    columns,
    [
      ['日本', '1'],
      ['abcd', '2'],
    ],
    paint,
    '',
  )
  assert.equal(table, 'NAME  N\n日本  1\nabcd  2\n')
})

test('texts from outside cannot steer the terminal: no control character survives', () => {
  assert.equal(plain('550 \x1b[2Jgone\r\n\x9b\u202e'), '550 \\x1b[2Jgone\\x0d\\x0a\\x9b\\u202e')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), text => {
      const table = formatTable(columns, [[text, '1']], paint, '')
      assert.ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(table))
      assert.equal(table.split('\n').length, 3)
    }),
  )
})

test('colours are added only when asked for, and never change the widths', () => {
  const rows = [['a', '1']] as const
  const toned: readonly Column<readonly [string, string]>[] = [
    { title: 'NAME', cell: ([name]) => ({ text: name, tone: 'bad' }) },
    { title: 'N', cell: ([, count]) => count },
  ]
  const coloured = formatTable(toned, rows, painter(true), '')
  assert.match(coloured, /\x1b\[31ma\x1b\[39m {5}1\n$/)
  assert.ok(!formatTable(toned, rows, paint, '').includes('\x1b'))
})
