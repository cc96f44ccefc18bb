import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, formatSize, parseDuration, parseSize } from './quantity.ts'

test('durations and sizes are read in their units', () => {
  const durations: [string, number][] = [
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
  ]
  for (const [text, value] of durations) assert.deepEqual(parseDuration(text), { ok: true, value })
  const sizes: [string, number][] = [
    ['512B', 512],
    ['64KiB', 65_536],
    ['25MiB', 26_214_400],
    ['2GiB', 2_147_483_648],
  ]
  for (const [text, value] of sizes) assert.deepEqual(parseSize(text), { ok: true, value })
})

test('what is written without a unit, with a wrong one or with more than one is refused', () => {
  for (const text of [
    '',
    '5',
    's',
    '5 s',
    '-5s',
    '1.5h',
    '5M',
    '1h30m',
    '5constructor',
    '9'.repeat(16).concat('s'),
  ])
    assert.equal(parseDuration(text).ok, false, text)
  for (const text of ['', '25', '25MB', '25mib', '1e3B', '25 MiB', '999999999999999TiB'])
    assert.equal(parseSize(text).ok, false, text)
})

test('any whole number of milliseconds or bytes survives printing and reading', () => {
  const whole = fc.oneof(
    fc.nat(),
    fc.nat({ max: 10_000 }).map(n => n * 86_400_000),
    fc.nat({ max: 4096 }).map(n => n * 1024 ** 3),
  )
  fc.assert(
    fc.property(whole, value => {
      assert.deepEqual(parseDuration(formatDuration(value)), { ok: true, value })
      assert.deepEqual(parseSize(formatSize(value)), { ok: true, value })
    }),
  )
})

test('any text is answered with a value and never with a throw', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      for (const result of [parseDuration(text), parseSize(text)])
        assert.ok(result.ok ? Number.isSafeInteger(result.value) && result.value >= 0 : result.why !== '')
    }),
  )
})
