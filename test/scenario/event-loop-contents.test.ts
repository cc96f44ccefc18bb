// Situation: single contents that are as large, as deep or as many-fielded as they may be, one after the other (the row
// "event loop" of the resource-exhaustion table). None of them may keep an event loop of the server busy for 200 ms;
// how that is told from a busy machine: support/loop-watch.ts.

import { after, before, test } from 'node:test'
import type { Login } from './support/house.ts'
import { type Fate, heldMsMaxOfMost, LoopWatch, type Work } from './support/loop-watch.ts'
import { repeated, structures } from './support/odd-contents.ts'
import { Receiver } from './support/receiver.ts'

const mebibyte = 1024 * 1024

let watch: LoopWatch
/** Lacks 8BITMIME. */
let seven: Receiver
/** A login whose long lines are encoded. */
let encoding: Login

before(async () => {
  seven = await Receiver.start({ keywords: ['PIPELINING'] })
  const route = `[[route]]\nrecipient_domain = "seven.example"\nsmarthost = "127.0.0.1:${seven.port}"`
  watch = await LoopWatch.open([route], [seven])
  const { server } = watch.siege.house
  // Signed, so that canonicalisation is part of what is measured.
  await server.json('domain', 'add', '--account', 'acme', '--trust', 'signed.example')
  encoding = await server.json<Login & Record<string, never>>(
    ...['credential', 'create', '--account', 'acme', '--long-lines', 'encode'],
  )
})
after(async () => {
  for (const one of [watch, seven]) await one[Symbol.asyncDispose]()
})

/** Names a test for an input. */
function input(name: string, work: Work, heldMsMax: number = heldMsMaxOfMost): void {
  test(`no event loop is held for ${heldMsMax} ms by ${name}`, { timeout: 180_000 }, t =>
    watch.bring(t, work, heldMsMax),
  )
}

// ---- headers ----------------------------------------------------------------------------------------------------------

const signedFrom = 'From: Ann <ann@signed.example>\r\n'
/** A little less than may be. */
const headerBytes = 120 * 1024

/** In lines that may be, so that what is inside is looked at. */
const folded = (text: string): string => text.replace(/.{900}/g, '$&\r\n ')

const headers: readonly (readonly [name: string, parts: () => Iterable<string>, fate?: Fate])[] = [
  [
    'a field of 120 KiB in lines of one letter',
    () => repeated(`${signedFrom}Subject: `, 'x\r\n ', headerBytes / 4, '\r\n\r\nx'),
  ],
  [
    'a field of 120 KiB of blanks',
    () => repeated(`${signedFrom}Subject: x`, `\r\n ${'\t '.repeat(400)}x`, headerBytes / 804, '\r\n\r\nx'),
  ],
  ['1,000 fields of 120 bytes', () => repeated(signedFrom, `X-F: ${'y'.repeat(113)}\r\n`, 990, '\r\nx')],
  [
    'a To field of 120 KiB of addresses',
    () => repeated(`${signedFrom}To: a@b.example`, ',\r\n a@b.example', headerBytes / 15, '\r\n\r\nx'),
  ],
  [
    'a From field of 120 KiB of encoded words',
    () => repeated('From:', ' =?utf-8?q?=C3=BC?=\r\n', 5500, ' <ann@signed.example>\r\n\r\nx'),
  ],
  ...(
    [
      ['quoted pairs', `"${'\\"'.repeat(60_000)}"`],
      ['nested comments', `${'('.repeat(60_000)}${')'.repeat(60_000)}`],
      ['groups', 'a:'.repeat(60_000)],
      ['commas', ','.repeat(120_000)],
      ['brackets', '<'.repeat(120_000)],
    ] as const
  ).map(
    ([name, text]) =>
      [
        `a From field of 120 KiB of ${name}`,
        () => ['From: ', folded(text), ' <ann@signed.example>\r\n\r\nx\r\n'],
        'refused',
      ] as const,
  ),
]
for (const [name, parts, fate = 'delivered'] of headers)
  input(name, () => watch.submit({ parts: parts(), sender: 'ann@signed.example', fate }))

// ---- bodies -----------------------------------------------------------------------------------------------------------

const bodies: readonly (readonly [name: string, piece: string])[] = [
  ['twelve million empty lines', '\r\n'],
  ['six million lone dots', '..\r\n'],
  ['lines of 998 octets', `${'y'.repeat(998)}\r\n`],
]
for (const [name, piece] of bodies)
  input(`a content of 24 MiB: ${name}`, () =>
    watch.submit({
      parts: repeated(`${signedFrom}\r\n`, piece, Math.floor((24 * mebibyte) / piece.length)),
      sender: 'ann@signed.example',
    }),
  )

const longs: readonly (readonly [name: string, piece: string, times: number])[] = [
  ['a line of 20 MiB', 'y'.repeat(1024), 20 * 1024],
  ['lines of 2,000 octets', `${'y'.repeat(2000)}\r\n`, 10_000],
  ['lines of 2,000 octets in UTF-8', `${'ü'.repeat(1000)}\r\n`, 10_000],
  ['lines of 2,000 equals signs', `${'='.repeat(2000)}\r\n`, 10_000],
]
for (const [name, piece, times] of longs)
  input(`a content of 20 MiB whose lines must be encoded: ${name}`, () =>
    watch.submit({
      parts: repeated(`${signedFrom}\r\n`, piece, times),
      sender: 'ann@signed.example',
      login: encoding,
    }),
  )

const eights: readonly (readonly [name: string, parts: () => Iterable<string>, fits: boolean])[] = [
  ['24 MiB of text in UTF-8', () => repeated(`${signedFrom}\r\n`, `${'ü'.repeat(60)}\r\n`, 200_000), true],
  [
    '24 MiB that are no text',
    () => repeated(`${signedFrom}Content-Type: image/x\r\n\r\n`, `${'ü'.repeat(60)}\r\n`, 200_000),
    true,
  ],
  ...structures,
]
for (const [name, parts, fits] of eights)
  input(`a content for a server without 8BITMIME: ${name}`, () =>
    watch.submit({
      parts: parts(),
      to: 'bob@seven.example',
      sender: 'ann@signed.example',
      fate: fits ? 'delivered' : 'bounced',
    }),
  )
