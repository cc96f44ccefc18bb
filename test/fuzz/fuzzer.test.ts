import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeInput, encodeInput } from './corpus.ts'
import { fuzz } from './fuzzer.ts'
import { minimise } from './minimise.ts'
import { readArguments } from './options.ts'
import type { FuzzTarget } from './target.ts'
import { allTargets } from './targets.ts'
import { fuzzWatched } from './watch.ts'

/** Breaks for inputs with a CR that is followed by a dot: easy to make by mutation. */
const broken: FuzzTarget = {
  name: 'broken',
  invariants: ['no CR stands before a dot'],
  dictionary: [],
  seeds: ['plain text.\r\nmore of it'],
  run(input) {
    if (input.includes('\r.')) throw new Error('a CR stands before a dot')
  },
}

test('the fuzzer finds a broken invariant and makes its input small', async () => {
  const { findings } = await fuzz(broken, {
    seed: 1,
    corpus: [],
    isGuided: false,
    isOver: done => done > 50_000,
  })
  assert.deepEqual(
    findings.map(one => [one.kind, one.input.toString()]),
    [['broken', '\r.']],
  )
})

test('the same seed makes the same inputs', async () => {
  const inputsOf = async (seed: number): Promise<string[]> => {
    const inputs: string[] = []
    const target = { ...broken, run: (input: Buffer) => void inputs.push(input.toString('hex')) }
    await fuzz(target, { seed, corpus: [], isGuided: false, isOver: done => done > 400 })
    return inputs
  }
  // As one text: the difference of two long lists, when there is one, would take the machine's memory.
  const [first, again, other] = [await inputsOf(7), await inputsOf(7), await inputsOf(8)].map(list =>
    list.join(),
  )
  assert.ok(first === again && first !== other)
})

test('an input that takes too long each time is a finding', async () => {
  const slow: FuzzTarget = {
    ...broken,
    slowMs: 20,
    run(input) {
      // Work, not time: on a busy machine 40 ms on the wall are less than that on a processor.
      const before = process.threadCpuUsage()
      while (input.length > 24 && process.threadCpuUsage(before).user < 40_000);
    },
  }
  const { findings } = await fuzz(slow, { seed: 1, corpus: [], isGuided: false, isOver: done => done > 60 })
  assert.deepEqual(
    findings.map(one => one.kind),
    ['slow'],
  )
})

test('in its thread, coverage makes inputs that run new code stay', async () => {
  const job = { target: 'grammar', seed: 3, corpus: [], durationMs: 0, executionsMax: 1500 }
  const { corpus, findings } = await fuzzWatched(job)
  assert.equal(findings.length, 0)
  const seeds = (await allTargets()).find(one => one.name === 'grammar')!.seeds.length
  assert.ok(corpus!.length > seeds, `${corpus!.length} inputs from ${seeds} seeds`)
})

test('minimising keeps what fails and drops the rest', async () => {
  const input = Buffer.from(`${'x'.repeat(500)}needle${'y'.repeat(500)}`)
  const small = await minimise(input, async one => one.includes('needle'))
  assert.equal(small.toString(), 'needle')
})

test('every input can be written as a line and read again', () => {
  const inputs = [
    Buffer.alloc(0),
    Buffer.from('#a'),
    Buffer.from('\\x41\\'),
    Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  ]
  for (const input of inputs) {
    const line = encodeInput(input)
    assert.match(line, /^[ -~]+$/)
    assert.ok(!line.startsWith('#'))
    assert.deepEqual(decodeInput(line), input)
  }
})

test('wrong arguments are told', () => {
  assert.equal(readArguments(['grammar', 'soon']), 'seconds must be a whole number')
  assert.equal(readArguments(['--fast']), 'unknown flag --fast')
  assert.deepEqual(readArguments(['grammar', '5', '--seed', '9', '--keep']), {
    target: 'grammar',
    seconds: 5,
    seed: 9,
    executionsMax: null,
    keeps: true,
    input: null,
  })
})

test('targets have names of their own, seeds that hold and say what must hold', async () => {
  const targets = await allTargets()
  assert.ok(targets.length >= 18)
  assert.equal(new Set(targets.map(one => one.name)).size, targets.length)
  for (const target of targets)
    assert.ok(target.invariants.length > 0 && target.seeds.length > 0, target.name)
})
