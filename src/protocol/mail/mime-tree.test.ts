// What the tree of a content takes in memory: its parts are bounded, and their fields are not kept.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { heapTakenBy } from '../../../test/support/heap.ts'
import { headerOf, type MimeTree, parseMime } from './mime-tree.ts'

test('ten thousand empty parts take less than 2 MB, and one more is too many', () => {
  const content = (parts: number) =>
    Buffer.from(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\n'.repeat(parts)}--b--\r\n`)
  const most = content(9999)
  let tree: MimeTree | null = null
  const takenBytes = heapTakenBy(() => {
    tree = parseMime(most)
    return tree
  })
  assert.ok(takenBytes < 2_000_000, `${takenBytes} bytes of heap`)
  const { root } = tree as unknown as Extract<MimeTree, { kind: 'parsed' }>
  assert.equal(root.children.length, 9999)
  assert.deepEqual(parseMime(content(10_000)), { kind: 'unclear', why: 'it has over 10000 parts' })
})

test('a million header fields in a thousand parts take little memory, and are found again part by part', () => {
  const part = `--b\r\n${'X:\r\n'.repeat(998)}Content-Type: text/html; charset=utf-8\r\n\r\nx\r\n`
  const content = Buffer.from(
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(1000)}--b--\r\n`,
  )
  let tree: MimeTree | null = null
  const takenBytes = heapTakenBy(() => {
    tree = parseMime(content)
    return tree
  })
  assert.ok(takenBytes < 4_000_000, `${takenBytes} bytes of heap`)
  const { root } = tree as unknown as Extract<MimeTree, { kind: 'parsed' }>
  assert.equal(root.children.length, 1000)
  for (const child of root.children) {
    assert.equal(child.type, 'text/html')
    assert.equal(headerOf(content, child).fields.length, 999)
  }
})
