// Contents that are far too much of something, made piece by piece so that the test itself need not hold them.

/** A head, a piece so many times, a tail. */
export function* repeated(head: string, piece: string, times: number, tail: string = ''): Generator<string> {
  yield head
  const block = piece.repeat(1000)
  for (let left = times; left > 0; left -= 1000) yield left >= 1000 ? block : piece.repeat(left)
  yield `${tail}\r\n`
}

/** The one field that every content needs. */
export const from = 'From: Ann <ann@acme.example>\r\n'

const eightBit = 'grüße\r\n'
const mime = `${from}MIME-Version: 1.0\r\nContent-Type: `

function* nested(depth: number): Generator<string> {
  yield `${mime}multipart/mixed; boundary=b0\r\n\r\n`
  for (let i = 1; i <= depth; i++)
    yield `--b${i - 1}\r\nContent-Type: multipart/mixed; boundary=b${i}\r\n\r\n`
  yield `--b${depth}\r\n\r\n${eightBit}`
}

/** A part of a multipart with a boundary of this size, folded into lines that may be. */
function* innerBoundary(sizeBytes: number): Generator<string> {
  yield `${mime}multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed;\r\n boundary="`
  yield `${'b'.repeat(900)}\r\n `.repeat(Math.ceil(sizeBytes / 900))
  yield `b"\r\n\r\n${eightBit}--o--\r\n`
}

/** Contents whose MIME structure is more than anybody's; `fits`: it can be re-encoded all the same. */
export const structures: readonly (readonly [name: string, parts: () => Iterable<string>, fits: boolean])[] =
  [
    ['multiparts nested 10,000 deep', () => nested(10_000), false],
    [
      'messages inside messages 1,000 deep',
      () =>
        repeated(
          `${mime}message/rfc822\r\n\r\n`,
          'Content-Type: message/rfc822\r\n\r\n',
          1000,
          `\r\n${eightBit}`,
        ),
      false,
    ],
    [
      'a boundary of 100 KiB',
      () => [
        `${mime}multipart/mixed;\r\n boundary=${`${'b'.repeat(900)}\r\n `.repeat(110)}x\r\n\r\n${eightBit}`,
      ],
      false,
    ],
    // As much as is read of the header of a part, and more than that.
    ['a boundary of a million octets inside', () => innerBoundary(1_000_000), false],
    ['a boundary of 1 MiB inside', () => innerBoundary(1024 * 1024), false],
    [
      'a million parts',
      () =>
        repeated(
          `${mime}multipart/mixed; boundary=b\r\n\r\n`,
          '--b\r\n\r\n',
          1_000_000,
          `--b\r\n\r\n${eightBit}`,
        ),
      false,
    ],
    [
      'six million lines that look like delimiters',
      () => repeated(`${mime}multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n`, '--\r\n', 6_000_000, eightBit),
      true,
    ],
  ]
