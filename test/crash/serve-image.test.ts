// Would the judge of whole servers notice? On a damaged folder a server comes to an end with everything, in its own way.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { killedFolder } from './killed-folder.ts'
import type { Expected } from './recording.ts'
import { serveImage } from './serve-image.ts'

/** Done to the database before the server finds it; what must be said; none: all is well. */
const rows: readonly (readonly [name: string, harm: string, says: RegExp | null])[] = [
  ['no fault with what a kill left', '', null],
  ['mail that expires before its time', 'UPDATE message SET expires_at_ms = 1', /to \S+ is expired/],
  [
    'mail that is never tried',
    'DELETE FROM recipient WHERE key = (SELECT max(key) FROM recipient)',
    /the server: not the expected events/,
  ],
  [
    'mail with the prefix of another',
    'UPDATE message SET prefix = (SELECT prefix FROM message ORDER BY key LIMIT 1)',
    /came to \S+, which the log does not know|is said to be delivered and never came/,
  ],
]

describe('a whole server on what a kill left', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'postrider-serve-'))
  const folder = join(scratch, 'killed')
  let expected: Expected

  before(async () => {
    expected = await killedFolder(folder, 12)
  })
  after(() => rmSync(scratch, { recursive: true, force: true }))

  for (const [name, harm, says] of rows)
    test(`its judge finds ${name}`, async () => {
      const image = mkdtempSync(join(scratch, 'image-'))
      cpSync(folder, image, { recursive: true, filter: path => !path.endsWith('.sock') })
      if (harm !== '') {
        using db = new DatabaseSync(join(image, 'data', 'postrider.db'))
        db.exec(harm)
      }
      const wrong = await serveImage(image, { ...expected, ledger: expected.ledger.copy() }, 15_000)
      if (says === null) assert.deepEqual(wrong, [])
      else
        assert.ok(
          wrong.some(text => says.test(text)),
          wrong.join('; ') || 'nothing was found',
        )
    })
})
