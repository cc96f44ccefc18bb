// However deep, long or many: what re-encoding refuses, and that no step of it holds the event loop.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ReencodeMode, reencode, reencodeSteps } from './reencode.ts'
import { Pacer, runInSlices } from './steps.ts'
import { assertFits, content, eightBit, longLines, reencoded } from './test-kit-reencode.ts'

test('nesting to depth 100 is followed, deeper is refused, and neither takes long', () => {
  const nested = (depth: number): Buffer => {
    const open = Array.from(
      { length: depth },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`,
    )
    return Buffer.from(`${open.join('')}\r\n${'grün\r\n'.repeat(20_000)}`)
  }
  assertFits(reencoded(nested(99), eightBit), eightBit)
  const refused = reencode(nested(10_000), eightBit)
  assert.equal(refused.kind === 'impossible' && refused.reason, 'structure')
})

test('many delimiters and near-delimiters are handled in one pass', () => {
  const many = Buffer.from(
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nü\r\n'.repeat(20_000)}`,
  )
  assert.equal(reencode(many, eightBit).kind, 'impossible')
  const near = Buffer.from(
    `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nü${'\r\n--bb'.repeat(200_000)}`,
  )
  assert.equal(reencode(near, eightBit).kind, 'reencoded')
})

// What may not hold the event loop: each content is worked on in steps, and no step takes long. The bound is far above
// what a step takes (about a millisecond) and far below what the whole takes.
const heavy: readonly (readonly [what: string, mode: ReencodeMode, input: Buffer])[] = [
  ['16 MiB of 8-bit text', eightBit, content('From: a@b', '', 'ü'.repeat(70).concat('\r\n').repeat(115_000))],
  ['16 MiB in one line', longLines, content('From: a@b', '', 'x'.repeat(16 * 1024 * 1024))],
  [
    '16 MiB of base64 in one line',
    longLines,
    content('Content-Transfer-Encoding: base64', '', 'QUJD'.repeat(4 * 1024 * 1024)),
  ],
  [
    '16 MiB of quoted-printable with 8-bit octets',
    eightBit,
    content('Content-Transfer-Encoding: quoted-printable', '', '=C3ü'.repeat(3_300_000)),
  ],
  [
    'binary of 16 MiB',
    eightBit,
    content('Content-Type: image/png', 'Content-Transfer-Encoding: binary', '', 'é'.repeat(8_000_000)),
  ],
  [
    'five million lines that look like delimiters',
    eightBit,
    content('Content-Type: multipart/mixed; boundary=b', '', '--b', '', `ü\r\n${'--\r\n'.repeat(5_000_000)}`),
  ],
  [
    'half a million lines that begin as a delimiter does',
    eightBit,
    content('Content-Type: multipart/mixed; boundary=b', '', '--b', '', `ü\r\n${'--bc\r\n'.repeat(500_000)}`),
  ],
]
for (const [what, mode, input] of heavy) {
  test(`${what}: re-encoded in steps, none of which holds the event loop for long`, () => {
    const steps = reencodeSteps(input, mode)
    let longestMs = 0
    let count = 0
    for (;;) {
      const started = process.cpuUsage()
      const step = steps.next()
      const { user, system } = process.cpuUsage(started)
      longestMs = Math.max(longestMs, (user + system) / 1000)
      count++
      if (step.done === true) {
        assert.equal(step.value.kind, 'reencoded')
        break
      }
    }
    assert.ok(count > 100, `${count} steps`)
    assert.ok(longestMs < 200, `the longest step took ${longestMs} ms of processor time`)
  })
}

test('over a million lines that begin as a delimiter does are refused', () => {
  const lines = '--bc\r\n'.repeat(1_000_001)
  const input = content('Content-Type: multipart/mixed; boundary=b', '', '--b', '', `ü\r\n${lines}`)
  const result = reencode(input, eightBit)
  assert.equal(result.kind === 'impossible' && result.reason, 'structure')
})

test('a part with a header of over 1 MiB is refused', () => {
  const header = `X: ${'y\r\n '.repeat(300_000)}`
  const input = content('Content-Type: multipart/mixed; boundary=b', '', '--b', header, '', 'ü', '--b--')
  const result = reencode(input, eightBit)
  assert.equal(result.kind === 'impossible' && result.reason, 'structure')
})

test('work in slices lets the event loop go round as often as slices are used up', async () => {
  let nowMs = 0
  const pacer = new Pacer(5, () => nowMs++)
  let turns = 0
  const timer = setInterval(() => turns++, 0)
  const result = await runInSlices(reencodeSteps(heavy[0]![2], eightBit), pacer)
  clearInterval(timer)
  assert.equal(result.kind, 'reencoded')
  assert.ok(pacer.pauses > 20, `${pacer.pauses} pauses`)
  assert.ok(turns > 0)
})
