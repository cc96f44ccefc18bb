// `npm run fuzz -- TARGET SECONDS`: fuzzes one target, or all in turn, and saves what it finds.
//
// Exit code 1 when something was found. A finding is saved under test/fuzz/findings (not in the repository); once it is
// mended its input belongs into the seeds of the target, which `npm test` replays together with the corpora.

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freshSeed } from '../support/random.ts'
import { corpusPath, encodeInput, readCorpus, writeCorpus } from './corpus.ts'
import { type FuzzArguments, readArguments, usage } from './options.ts'
import { reduce } from './reduce.ts'
import type { FuzzTarget } from './target.ts'
import { allTargets } from './targets.ts'
import { fuzzWatched, type WatchedFinding } from './watch.ts'

const findingsFolder = join(import.meta.dirname, 'findings')

async function main(): Promise<void> {
  const given = readArguments(process.argv.slice(2))
  const targets = await allTargets()
  if (typeof given === 'string' || given.target === '') {
    if (typeof given === 'string') console.error(`${given}\n`)
    console.log(usage)
    for (const { name, invariants } of targets) console.log(`\n  ${name}\n    ${invariants.join('\n    ')}`)
    process.exitCode = typeof given === 'string' ? 2 : 0
    return
  }
  const chosen = given.target === 'all' ? targets : targets.filter(one => one.name === given.target)
  if (chosen.length === 0) {
    console.error(`no target is called ${given.target}; without arguments they are listed`)
    process.exitCode = 2
    return
  }
  for (const target of chosen) {
    if (given.input !== null) await runOne(target, readFileSync(given.input))
    else await fuzzOne(target, given)
  }
}

async function runOne(target: FuzzTarget, input: Buffer): Promise<void> {
  const startedMs = performance.now()
  try {
    await target.run(input)
    console.log(`${target.name}: holds, ${(performance.now() - startedMs).toFixed(1)} ms`)
  } catch (error) {
    console.log(`${target.name}: ${error instanceof Error ? error.stack : String(error)}`)
    process.exitCode = 1
  }
}

async function fuzzOne(target: FuzzTarget, given: FuzzArguments): Promise<void> {
  const seed = given.seed ?? freshSeed()
  const corpus = readCorpus(target.name)
  const startedMs = performance.now()
  const { executionsMax, seconds } = given
  const durationMs = seconds * 1000
  const result = await fuzzWatched({ target: target.name, seed, corpus, durationMs, executionsMax })
  const tookSeconds = (performance.now() - startedMs) / 1000
  const rate = Math.round(result.executions / tookSeconds)
  const found = result.findings.length === 0 ? 'nothing found' : `${result.findings.length} FOUND`
  console.log(
    `${target.name}: ${result.executions} executions in ${tookSeconds.toFixed(0)} s (${rate}/s), ` +
      `${result.corpus?.length ?? 0} inputs that ran new code, seed ${seed}: ${found}`,
  )
  for (const finding of result.findings) save(target.name, finding)
  if (result.findings.length > 0) process.exitCode = 1
  if (given.keeps && result.corpus !== null) {
    const kept = await reduce(target, [...corpus, ...result.corpus])
    writeCorpus(target.name, kept)
    console.log(`  ${kept.length} inputs in ${corpusPath(target.name)}`)
  }
}

function save(target: string, finding: WatchedFinding): void {
  mkdirSync(findingsFolder, { recursive: true })
  const name = createHash('sha256').update(finding.input).digest('hex').slice(0, 12)
  const path = join(findingsFolder, `${target}-${finding.kind}-${name}`)
  writeFileSync(path, finding.input)
  const shown = encodeInput(finding.input.subarray(0, 300))
  console.log(`  ${finding.kind}: ${finding.message.split('\n').slice(0, 12).join('\n    ')}`)
  console.log(`    input (${finding.input.length} bytes): ${shown}`)
  console.log(`    again: npm run fuzz -- ${target} --input ${path}`)
}

await main()
