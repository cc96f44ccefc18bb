// Fuzz target: MIME structure and its re-encoding for peers without 8BITMIME and for long lines.

import assert from 'node:assert/strict'
import { isAscii } from 'node:buffer'
import { type FuzzTarget, must } from '../../../test/fuzz/target.ts'
import { headerOf, identityEncodings, isComposite, type MimePart, parseMime } from './mime-tree.ts'
import { type ReencodeMode, reencode } from './reencode.ts'
import { decodeQuotedPrintable } from './transfer-encoding.ts'

/** A content as it gets here: CRLF line ends only, no NUL, a line end at its end. */
function asContent(input: Buffer): Buffer {
  const text = input
    .toString('latin1')
    .replace(/\r(?!\n)|\0/g, '')
    .replace(/(?<!\r)\n/g, '\r\n')
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1')
}

/** What a reader sees: the parts with their decoded bytes. */
function read(part: MimePart, content: Buffer): unknown {
  const body = content.subarray(part.bodyStart, part.bodyEnd)
  if (part.kind !== 'leaf') return { type: part.type, parts: part.children.map(one => read(one, content)) }
  return { type: part.type || 'text/plain', body: decoded(part.encoding, body) }
}

function decoded(encoding: string, body: Buffer): string {
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(body).toString('latin1')
  if (encoding === 'base64') return body.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, '')
  return body.toString('latin1')
}

/** The same leaf may be identity on one side and base64 on the other. */
function sameLeaves(before: MimePart, after: MimePart, old: Buffer, made: Buffer): void {
  assert.equal(after.kind, before.kind, 'the structure stays')
  assert.equal(after.children.length, before.children.length, 'no part is lost or made')
  for (const [index, child] of before.children.entries()) sameLeaves(child, after.children[index]!, old, made)
  if (before.headerStart > 0 && headerOf(old, before).fields.some(field => field.name === '')) {
    const part = old.subarray(before.headerStart, before.bodyEnd)
    const newPart = made.subarray(after.headerStart, after.bodyEnd)
    // A header that the end of the content cuts gets its blank line.
    const isSame = newPart.toString('latin1').trimEnd() === part.toString('latin1').trimEnd()
    must(isSame, 'a part whose header has a line that is no field stays as it is')
  }
  if (before.kind !== 'leaf') return
  const body = old.subarray(before.bodyStart, before.bodyEnd)
  const newBody = made.subarray(after.bodyStart, after.bodyEnd)
  // A composite is a leaf only when it says that it is encoded.
  if (isComposite(before.type)) must(body.equals(newBody), 'the body of an encoded composite stays as it is')
  if (identityEncodings.has(before.encoding) && after.encoding === 'base64')
    assert.equal(
      Buffer.from(newBody.toString('latin1'), 'base64').toString('latin1'),
      body.toString('latin1'),
    )
  else
    assert.equal(decoded(after.encoding, newBody), decoded(before.encoding, body), 'the bytes of a part stay')
}

function check(content: Buffer, mode: ReencodeMode): void {
  const result = reencode(content, mode)
  if (result.kind === 'impossible') {
    must(result.why !== '' && !/[\r\n]/.test(result.why), 'what is impossible is said in one line')
    return
  }
  if (result.kind === 'unchanged') return
  const made = Buffer.concat([result.header, result.body])
  if (mode.reason === 'eightbit') must(isAscii(made), 'an 8-bit content becomes ASCII')
  const text = made.toString('latin1')
  must(!/\r(?!\n)|(?<!\r)\n/.test(text), 'lines end in CRLF')
  must(
    text.split('\r\n').every(line => line.length <= (mode.lineBytesMax ?? 998)),
    'no line is too long',
  )
  must(
    result.header.toString('latin1').endsWith('\r\n\r\n') || result.header.length === 2,
    'the header ends in its blank line',
  )
  assert.equal(reencode(made, mode).kind, 'unchanged', 'what was re-encoded fits')
  const before = parseMime(content)
  const after = parseMime(made)
  must(after.kind === 'parsed', 'the result can be followed')
  if (before.kind === 'parsed' && after.kind === 'parsed') sameLeaves(before.root, after.root, content, made)
}

export const target: FuzzTarget = {
  name: 'reencode',
  invariants: [
    'the result is ASCII (or has no long line), with CRLF line ends, and fits when it is looked at again',
    'the structure stays, and every part decodes to the bytes that it had',
    'a composite that says it is encoded, and a part whose header has a line that is no field, are not encoded',
    'what cannot be done is said in one line; no content is followed without bound',
  ],
  dictionary: [
    'Content-Type: ',
    'multipart/mixed; boundary=b',
    'multipart/signed; boundary=b',
    'message/rfc822',
    'text/plain',
    'text/html; charset=utf-8',
    'application/octet-stream',
    'Content-Transfer-Encoding: ',
    'base64',
    'quoted-printable',
    '8bit',
    'binary',
    '\r\n--b\r\n',
    '\r\n--b--\r\n',
    '--b\r\n',
    '--b--',
    '\r\n\r\n',
    '\r\n',
    'boundary="',
    'boundary=c',
    '\r\n--c\r\n',
    '\xc3\xa9',
    '=E9',
    '=\r\n',
    ' \r\n',
    'multipart/digest; boundary=b',
    'MIME-Version: 1.0\r\n',
  ],
  seeds: [
    'Subject: x\r\n\r\ncaf\xc3\xa9\r\n',
    'Content-Type: multipart/mixed; boundary=b\r\n\r\npre\xe9\r\n--b\r\n\r\ncaf\xe9\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n\xff\xfe\r\n--b--\r\nepi\r\n',
    'Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n\xe9\r\n',
    'Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xe9\r\n--b--\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9 \xe9 =\r\nx\r\n',
    'Content-Transfer-Encoding: base64\r\n\r\n6Q==\xe9\r\n',
    `Subject: ${'word '.repeat(30)}\r\n\r\n${'x'.repeat(150)}\r\n`,
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n\xe9\r\n--c--\r\n--b--\r\n',
    // A separator of Unicode behind a boundary was once taken for white space, and stayed.
    'Content-Type: multipart/a; boundary=b\r\n\r\n\xfe\r\n--b\xe2\x80\xa8',
    // A line was once broken so that the next one began as a delimiter.
    `Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\n\r\n${'a'.repeat(27)}=${'a'.repeat(94)}--b`,
    // Written as =2D, decoded and written again, hyphens were once a delimiter.
    `Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=2D-b\r\n\xe9\r\n--b--`,
    // Once written again in one line, however long it was.
    `Content-Transfer-Encoding: ${'a'.repeat(80)} ${'b'.repeat(40)}\r\n\r\nx\r\n`,
    // Was once encoded as a whole, delimiters and all.
    'Content-Type: multipart/a; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\n\xe9\r\n--b--\r\n',
    `Content-Type: multipart/a; boundary=b\r\nContent-Transfer-Encoding: base64\r\nSubject: ${'word '.repeat(30)}\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n`,
    // Fields were once written behind a line at which many readers end the header.
    'Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\nx\r\n\r\n\xe9\r\n--b--\r\n',
    'Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\nx\r\n\r\nx\r\n--b\r\n\r\n\xe9\r\n--b--\r\n',
  ],
  inputBytesMax: 900,
  slowMs: 400,
  run(input) {
    const content = asContent(input)
    const tree = parseMime(content)
    if (tree.kind === 'parsed') read(tree.root, content)
    check(content, { reason: 'eightbit' })
    check(content, { reason: 'eightbit', lineBytesMax: 100 })
    check(content, { reason: 'longlines', lineBytesMax: 100 })
  },
}
