import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, fill, parseDialogues, readDialogues } from './dialogue.ts'

const sample = `rfc: 5321
title: Simple Mail Transfer Protocol
side: server
about: One line
about: and another.

# A remark.
= §4.1.1.9 NOOP is answered
status: limit
at: relay, ready
C*2: NOOP {n}
S*2: 250 2.0.0
c: QUIT\\n
S: (nothing)
arrives: ^X-One: two
`

test('a file is read into its head and its dialogues', () => {
  const file = parseDialogues('sample.txt', sample)
  assert.deepEqual([file.rfc, file.side, file.about], [5321, 'server', 'One line and another.'])
  const [dialogue] = file.dialogues
  assert.deepEqual(
    [dialogue?.section, dialogue?.rule, dialogue?.status, dialogue?.at, dialogue?.place],
    ['§4.1.1.9', 'NOOP is answered', 'limit', 'relay, ready', 'sample.txt:8'],
  )
  assert.deepEqual(
    dialogue?.steps.map(({ speaker, text, times, isRaw }) => [speaker, text, times, isRaw]),
    [
      ['client', 'NOOP {n}', 2, false],
      ['server', '250 2.0.0', 2, false],
      ['client', 'QUIT\\n', 1, true],
      ['server', '(nothing)', 1, false],
    ],
  )
  assert.match('X: y\nX-One: two\n', dialogue!.arrives[0]!)
})

test('a line that keeps no form is told by its place', () => {
  assert.throws(() => parseDialogues('a.txt', sample.replace('at: ', 'where: ')), /a\.txt:10/)
  assert.throws(() => parseDialogues('a.txt', sample.replace('= §4.1.1.9 ', '= ')), /a\.txt:8/)
  assert.throws(() => parseDialogues('a.txt', 'title: x\n'), /rfc/)
})

test('names, repetitions and escapes are replaced', () => {
  assert.equal(fill('<{to}> {ab*3} {other}', { to: 'x@y' }), '<x@y> ababab {other}')
  assert.deepEqual(bytesOf('a\\r\\n\\x80\\\\é'), Buffer.from([0x61, 13, 10, 0x80, 0x5c, 0xc3, 0xa9]))
})

test('there are at least 150 dialogues, on both sides, and each rule is told once', () => {
  const all = readDialogues().flatMap(file => file.dialogues)
  assert.ok(all.length >= 150, `${all.length} dialogues`)
  for (const side of ['server', 'client'] as const)
    assert.ok(all.filter(one => one.side === side).length >= 40, side)
  const rules = all.map(({ side, rfc, rule }) => `${side} ${rfc} ${rule}`)
  assert.deepEqual(
    rules.filter((rule, index) => rules.indexOf(rule) !== index),
    [],
  )
})
