// Random contents: they decode to the same parts and bytes before and after, for two readers.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { reencode } from './reencode.ts'
import { assertFits, eightBit, longLines } from './test-kit-reencode.ts'

/** A random content: a tree of parts with awkward bodies. */
const text = fc
  .array(fc.constantFrom('a', ' ', '\r\n', 'ü', '=', '.', '--', '--b0', '\t', 'w'.repeat(400), '\r\n\r\n'), {
    maxLength: 25,
  })
  .map(pieces => pieces.join(''))
const leaf = fc.record({
  type: fc.constantFrom('', 'text/plain; charset=utf-8', 'application/x-y', 'image/png'),
  encoding: fc.constantFrom('', '7bit', '8bit', 'binary', 'base64', 'quoted-printable'),
  text,
})
const { part } = fc.letrec<{ part: string }>(tie => ({
  part: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf.map(({ type, encoding, text }) => {
      const base64 = Buffer.from(text).toString('base64')
      // White space at the ends of quoted-printable lines is padding to some readers only: none here.
      const quoted = text.replaceAll('=', '=3D').replace(/[ \t]+(?=\r\n|$)/g, '')
      const body = encoding === 'base64' ? base64 : encoding === 'quoted-printable' ? quoted : text
      const typeField = type === '' ? '' : `Content-Type: ${type}\r\n`
      return `${typeField}${encoding === '' ? '' : `Content-Transfer-Encoding: ${encoding}\r\n`}\r\n${body}`
    }),
    tie('part').map(inner => `Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n${inner}`),
    fc
      .tuple(fc.nat(9), fc.array(tie('part'), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([n, parts, closed]) => {
        const boundary = `m${n}-${parts.join('').length}`
        const inner = parts.map(one => `--${boundary}\r\n${one}\r\n`).join('')
        return `Content-Type: multipart/mixed; boundary=${boundary}\r\n\r\n${inner}${closed ? `--${boundary}--\r\n` : ''}`
      }),
  ),
}))

/**
 * Types and decoded text of the parts as postal-mime sees them. Where nothing is encoded it turns line ends into
 * LF and keeps one more of them: those are left to Python.
 */
async function seen(message: Buffer): Promise<unknown> {
  const mail = await PostalMime.parse(message, { attachmentEncoding: 'base64' })
  const decoded = (base64: unknown): string =>
    Buffer.from(String(base64), 'base64').toString().replaceAll('\r\n', '\n').trimEnd()
  return [mail.text?.trimEnd(), mail.attachments.map(one => [one.mimeType, decoded(one.content)])]
}

test('random contents decode to the same parts before and after, says postal-mime', async () => {
  let changed = 0
  await fc.assert(
    fc.asyncProperty(part, fc.constantFrom(eightBit, longLines), async (one, mode) => {
      const input = Buffer.from(`From: a@b.test\r\nMIME-Version: 1.0\r\n${one}\r\n`)
      const result = reencode(input, mode)
      if (result.kind === 'unchanged') return assertFits(input, mode)
      assert.equal(result.kind, 'reencoded')
      if (result.kind !== 'reencoded') return
      changed++
      const output = Buffer.concat([result.header, result.body])
      assertFits(output, mode)
      assert.deepEqual(reencode(output, mode), { kind: 'unchanged' })
      assert.deepEqual(await seen(output), await seen(input))
    }),
    { numRuns: 400 },
  )
  assert.ok(changed > 20)
})

const batchScript = `
import sys, email, base64
for line in sys.stdin:
    mail = email.message_from_bytes(base64.b64decode(line))
    leaves = [part for part in mail.walk() if not part.is_multipart()]
    print([(part.get_content_type(), part.get_payload(decode=True)) for part in leaves])
`

test('random contents decode to the same bytes before and after, says Python', () => {
  const pairs: [Buffer, Buffer][] = []
  for (const one of fc.sample(part, 300)) {
    const input = Buffer.from(`From: a@b.test\r\nMIME-Version: 1.0\r\n${one}\r\n`)
    for (const mode of [eightBit, longLines]) {
      const result = reencode(input, mode)
      if (result.kind === 'reencoded') pairs.push([input, Buffer.concat([result.header, result.body])])
    }
  }
  assert.ok(pairs.length > 50)
  const lines = pairs.flat().map(message => message.toString('base64'))
  const seenLines = execFileSync('python3', ['-c', batchScript], { input: `${lines.join('\n')}\n` })
    .toString()
    .split('\n')
  for (const [i, [input]] of pairs.entries()) {
    assert.equal(seenLines[i * 2 + 1], seenLines[i * 2], JSON.stringify(input.toString()))
  }
})
