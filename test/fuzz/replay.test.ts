// Replays the corpora of all fuzz targets, and a few hundred fresh inputs each, always the same ones.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeInput, readCorpus } from './corpus.ts'
import { fuzz } from './fuzzer.ts'
import { allTargets } from './targets.ts'

/** Fresh inputs a target: enough to notice a broken parser, not to search. */
const executions = 250

for (const target of await allTargets()) {
  test(`fuzz target ${target.name}: ${target.invariants[0]}`, async () => {
    const corpus = readCorpus(target.name)
    // Long inputs are for searching: how a long comparison fails would take longer to show than to find.
    const short = { ...target, longBytesMax: 4096 }
    const { findings } = await fuzz(short, {
      seed: 20_261_126,
      corpus,
      isGuided: false,
      isOver: done => done >= corpus.length + target.seeds.length + executions,
    })
    const told = findings.map(one => `${one.message}\n  input: ${encodeInput(one.input.subarray(0, 500))}`)
    assert.equal(findings.length, 0, told.join('\n'))
  })
}
