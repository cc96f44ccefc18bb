import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fastestCpuMs } from '../../test/support/cpu-time.ts'
import { oneLine } from './one-line.ts'

test('an error of OpenSSL is told by its reason', () => {
  const raw =
    '80DB6C0E7F7F0000:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/openssl/openssl/ssl/record/methods/tlsany_meth.c:77:\n'
  assert.equal(oneLine(raw), 'TLS failed: wrong version number')
  assert.equal(oneLine(`write EPROTO ${raw}`), 'write EPROTO TLS failed: wrong version number')
})

test('other words stay as they are', () => {
  const text = 'connect ECONNREFUSED 127.0.0.2:25'
  assert.equal(oneLine(text), text)
})

test('whatever the text, its line has no control character and no more than 501 characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), text => {
      const line = oneLine(text)
      assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u)
      assert.ok(line.length <= 501)
    }),
  )
})

test('64 KiB of hexadecimal digits, or of what almost is an error of OpenSSL, are read in one pass', () => {
  for (const piece of ['A', 'A:error:A:', 'A:error:', ':', 'A:']) {
    const text = piece.repeat(65_536 / piece.length)
    const costMs = fastestCpuMs(() => void oneLine(text))
    assert.ok(costMs < 20, `${piece}: ${costMs} ms`)
  }
})
