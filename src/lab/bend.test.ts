import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bendEhlo } from './bend.ts'

const bends = { hostname: 'mx.test', withholds: ['SIZE'], isHeloOnly: false, bytePauseMs: 0 }
const ehlo = '250-mx.test greets x\r\n250-PIPELINING\r\n250-SIZE 5\r\n250 DSN\r\n'

test('a withheld keyword is gone, whatever its place, and the replies around stay as they are', () => {
  assert.equal(
    bendEhlo(`250 2.0.0 OK\r\n${ehlo}501 5.5.4 No\r\n`, bends),
    ['250 2.0.0 OK\r\n250-mx.test greets x\r\n250-PIPELINING\r\n250 DSN\r\n501 5.5.4 No\r\n'][0],
  )
  assert.equal(
    bendEhlo(ehlo, { ...bends, withholds: ['DSN', 'SIZE'] }),
    '250-mx.test greets x\r\n250 PIPELINING\r\n',
  )
  assert.equal(
    bendEhlo(ehlo, { ...bends, isHeloOnly: true }),
    '502 5.5.1 EHLO is not known here; use HELO\r\n',
  )
})

test('a bent EHLO reply is still one whole reply without the withheld keywords', () => {
  const keywords = ['PIPELINING', 'SIZE 5', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN']
  fc.assert(
    fc.property(
      fc.subarray(keywords),
      fc.subarray(keywords.map(one => one.split(' ')[0]!)),
      (offered, withholds) => {
        const lines = ['mx.test greets x', ...offered]
        const text = lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('')
        const bent = bendEhlo(text, { ...bends, withholds })
          .split('\r\n')
          .slice(0, -1)
        // A reply of one line is how HELO is answered: nothing to bend there.
        if (offered.length === 0) return
        assert.ok(bent.slice(0, -1).every(line => line.startsWith('250-')))
        assert.ok(bent.at(-1)?.startsWith('250 '))
        assert.deepEqual(
          bent.slice(1).map(line => line.slice(4)),
          offered.filter(one => !withholds.includes(one.split(' ')[0]!)),
        )
      },
    ),
  )
})
