import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { type ReencodeMode, reencode, reencodeSteps } from './reencode.ts'
import { Pacer, runInSlices } from './steps.ts'

const eightBit: ReencodeMode = { reason: 'eightbit' }
const longLines: ReencodeMode = { reason: 'longlines' }

function content(...lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n`, 'utf8')
}

function reencoded(input: Buffer, mode: ReencodeMode): Buffer {
  const result = reencode(input, mode)
  if (result.kind !== 'reencoded') throw new Error(JSON.stringify(result))
  return Buffer.concat([result.header, result.body])
}

function assertFits(output: Buffer, mode: ReencodeMode): void {
  for (const line of output.toString('latin1').split('\r\n'))
    assert.ok(line.length <= 998, 'a line is too long')
  if (mode === eightBit) assert.match(output.toString('latin1'), /^[\t\r\n\x20-\x7e]*$/)
}

const leafScript = `
import sys, email, base64
mail = email.message_from_bytes(sys.stdin.buffer.read())
for part in mail.walk():
    if not part.is_multipart():
        print(part.get_content_type(), base64.b64encode(part.get_payload(decode=True) or b'').decode())
`

/** Types and decoded bytes of all leaves, as Python's email package sees them. */
function leavesByPython(message: Buffer): string {
  return execFileSync('python3', ['-c', leafScript], { input: message }).toString()
}

test('a content that fits is left alone', () => {
  assert.deepEqual(reencode(content('From: a@b', '', 'plain'), eightBit), { kind: 'unchanged' })
  assert.deepEqual(reencode(content('From: a@b', '', 'grün'), longLines), { kind: 'unchanged' })
  assert.deepEqual(reencode(Buffer.alloc(0), eightBit), { kind: 'unchanged' })
})

test('a text without MIME header gets one, with the charset that the bytes tell', () => {
  const output = reencoded(content('From: a@b', '', 'grün = ok'), eightBit)
  assert.equal(
    output.toString(),
    'From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n' +
      'Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BCn =3D ok\r\n',
  )
  const latin = Buffer.concat([Buffer.from('From: a@b\r\n\r\n'), Buffer.from([0xe9, 0x0d, 0x0a])])
  assert.match(reencoded(latin, eightBit).toString(), /charset=unknown-8bit/)
})

test('text becomes quoted-printable, other leaves base64, and declared 8-bit becomes 7-bit', () => {
  const input = content(
    'From: a@b',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="x y"',
    'Content-Transfer-Encoding: 8bit',
    '',
    'préamble',
    '--x y',
    'Content-Type: text/html; charset=utf-8',
    'Content-Transfer-Encoding: 8BIT (really)',
    '',
    '<p>grün</p>',
    '--x y  ',
    'Content-Type: image/png',
    'Content-Transfer-Encoding: binary',
    'Content-Disposition: attachment',
    '',
    '\u0000\u00ff',
    '--x y',
    'Content-Type: text/plain',
    '',
    'untouched',
    '--x y--',
    'épilogue',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.equal(leavesByPython(output), leavesByPython(input))
  const text = output.toString()
  assert.match(text, /boundary="x y"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--x y\r\n/)
  assert.match(
    text,
    /text\/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>gr=C3/,
  )
  assert.match(
    text,
    /image\/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\nAMO\//,
  )
  assert.match(text, /Content-Type: text\/plain\r\n\r\nuntouched\r\n--x y--\r\n$/)
})

test('a message inside a message is encoded at its leaves, never as a whole', () => {
  const input = content(
    'Content-Type: multipart/digest; boundary=d',
    '',
    '--d',
    '',
    'From: inner@b',
    'Content-Transfer-Encoding: 8bit',
    '',
    'grün',
    '--d',
    'Content-Type: message/rfc822',
    'Content-Transfer-Encoding: 8bit',
    '',
    'From: second@b',
    'Content-Type: message/rfc822',
    '',
    'Subject: third',
    '',
    'grün',
    '--d--',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.equal(leavesByPython(output).match(/Z3LDvG4=/g)?.length, 2)
  assert.match(
    output.toString(),
    /--d\r\n\r\nFrom: inner@b\r\nContent-Transfer-Encoding: quoted-printable\r\n/,
  )
  assert.match(output.toString(), /message\/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: second/)
})

test('a separator of Unicode behind a boundary is text, not padding, and is encoded as such', () => {
  const input = content('Content-Type: multipart/mixed; boundary=b', '', '--b', '', '--b\u2028', '--b--')
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.match(output.toString('latin1'), /\r\n=2D-b=E2=80=A8\r\n/)
})

test('long lines are encoded, and a base64 attachment in one line is only broken anew', () => {
  const attachment = Buffer.alloc(3000, 1).toString('base64')
  const input = content(
    'From: a@b',
    `References:${' <id@b.test>'.repeat(200)}`,
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    `long ${'x'.repeat(2000)}`,
    '--b',
    'Content-Type: application/pdf',
    'Content-Transfer-Encoding: base64',
    '',
    attachment,
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'gr=C3=BCn '.repeat(200),
    '--b--',
  )
  const output = reencoded(input, longLines)
  assertFits(output, longLines)
  assert.equal(leavesByPython(output), leavesByPython(input))
})

const impossible: readonly (readonly [string, ReencodeMode, Buffer, string])[] = [
  ['8-bit header bytes', eightBit, content('Subject: grün', '', 'x'), 'headers-need-smtputf8'],
  [
    '8-bit bytes in the header of a part',
    eightBit,
    content(
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain; name=é',
      '',
      '--b--',
    ),
    'headers-need-smtputf8',
  ],
  [
    'a header word over 998 bytes',
    longLines,
    content(`X-Y: ${'x'.repeat(1000)}`, '', 'x'),
    'header-line-too-long',
  ],
  [
    'a signed part',
    eightBit,
    content('Content-Type: multipart/signed; boundary=b', '', '--b', '', 'grün', '--b', '', 'sig', '--b--'),
    'signed',
  ],
  [
    'a multipart without boundary',
    eightBit,
    content('Content-Type: multipart/mixed', '', 'grün'),
    'structure',
  ],
  [
    'a multipart without parts',
    eightBit,
    content('Content-Type: multipart/mixed; boundary=b', '', 'grün'),
    'structure',
  ],
  ['an unknown encoding', eightBit, content('Content-Transfer-Encoding: x-uue', '', 'grün'), 'encoding'],
  ['a partial message', eightBit, content('Content-Type: message/partial', '', 'grün'), 'encoding'],
]
for (const [what, mode, input, reason] of impossible) {
  test(`${what}: the re-encoder says that it cannot, and why`, () => {
    const result = reencode(input, mode)
    assert.equal(result.kind, 'impossible')
    if (result.kind === 'impossible') assert.equal(result.reason, reason)
  })
}

test('a signed part that fits does not keep its neighbours from being encoded', () => {
  const signed = [
    '--s',
    '',
    'exactly  this',
    '--s',
    'Content-Type: application/pkcs7-signature',
    '',
    'sig',
    '--s--',
  ]
  const input = content(
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: multipart/signed; boundary=s',
    '',
    ...signed,
    '--b',
    '',
    'grün',
    '--b--',
  )
  const output = reencoded(input, eightBit)
  assertFits(output, eightBit)
  assert.ok(output.includes(`\r\n\r\n${signed.join('\r\n')}\r\n`))
})

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

test('a transfer encoding that stays is not written in one line again', () => {
  const field = `Content-Transfer-Encoding: x-${'a'.repeat(900)}\r\n ${'b'.repeat(900)}`
  const input = content(`Subject: ${'word '.repeat(300)}`, field, '', 'body')
  const output = reencoded(input, longLines)
  assertFits(output, longLines)
  assert.ok(output.includes(field))
})

// What may not hold the event loop: each content is worked on in steps, and no step takes long. The bound is far above what
// a step takes (about a millisecond) and far below what the whole takes.
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
