// The performance page keeps what was measured before when only a part is measured again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergedFigures } from './performance-page.ts'
import { sampleConditions as conditions } from './testing/conditions.ts'

const one = (scenario: string, value: number) => ({
  scenario,
  title: `about ${scenario}`,
  figures: [{ text: 'resident', value, unit: ' MiB', bar: { kind: 'below', limit: 100 } as const }],
})

test('a scenario that was run again replaces its figures, and the others stay', () => {
  const first = mergedFigures('', [one('queue-1m', 90), one('25m', 120)], conditions)
  const second = mergedFigures(first, [one('25m', 80)], { ...conditions, commit: 'def' })
  assert.match(
    second,
    /^\*\*queue-1m\*\*: about queue-1m\n\nMeasured 2026-11-26 at commit abc: a processor, 2 cores/m,
  )
  assert.match(second, /^\*\*25m\*\*: about 25m\n\nMeasured 2026-11-26 at commit def/m)
  assert.ok(second.includes('met – queue-1m: resident (below 100 MiB): 90 MiB'))
  assert.ok(second.includes('met – 25m: resident (below 100 MiB): 80 MiB'))
  assert.ok(!second.includes('120'))
})
