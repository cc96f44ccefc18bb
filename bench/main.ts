/**
 * `npm run bench`: us, the peers and the ceiling in turn, interleaved, the same load and sink for all.
 *
 * Plan: 1. read the options, see which servers can run; 2. for each round, each scenario, each server: one
 * run, so that whatever disturbs the machine disturbs all alike; 3. medians, ratios, bars; 4. print one
 * table, keep everything in bench/results, and write the page when asked.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingPeers } from '../test/support/peers/index.ts'
import { readConditions, refuseMemoryFileSystem } from './conditions.ts'
import { figureLines, type MeasuredFigures } from './figures.ts'
import { runLatency } from './latency/run.ts'
import { runLoad } from './load-run.ts'
import { type BenchOptions, readOptions } from './options.ts'
import type { Peer } from './peers/index.ts'
import { writePerformancePage } from './performance-page.ts'
import { endToEndRate, find, judge, median, type RunResult, type Series } from './results.ts'
import { resumptionText } from './resumption.ts'
import type { Scenario } from './scenarios.ts'
import { runSecureLoad } from './secure-run.ts'
import { checkSigned } from './signed-check.ts'
import { textTable, verdictLines } from './table.ts'
import { Workspace } from './workspace.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (typeof options === 'string') {
    say(options)
    process.exitCode = 2
    return
  }
  const parent = process.env['POSTRIDER_BENCH_DIR'] ?? tmpdir()
  await refuseMemoryFileSystem(parent)
  await using workspace = await Workspace.open(parent)
  const directory = workspace.path
  const absent = (await missingPeers()).filter(name => /^(postfix|smtp-|opendkim|saslpasswd2)/.test(name))
  if (absent.length > 0 && options.scenarios.length > 0)
    throw new Error(`missing: ${absent.join(', ')}; npm test as root on Debian installs them`)
  const ready = options.scenarios.length === 0 ? [] : await readyPeers(options.peers)
  // Before the first run: what the machine is like without the bench, and the commit that is measured.
  const { rounds, note } = options
  const conditions = await readConditions({ directory, rounds, peers: ready, note })
  const series = await measure({ ...options, peers: ready }, directory)
  const figures = await measureFigures(options, directory)
  const verdicts = judge(series)
  const everything = { conditions, series, verdicts, figures }
  const results = join(import.meta.dirname, 'results')
  await mkdir(results, { recursive: true })
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  await writeFile(join(results, `${stamp}.json`), JSON.stringify(everything, null, 2))
  if (options.isJson) process.stdout.write(`${JSON.stringify(everything, null, 2)}\n`)
  else {
    if (series.length > 0)
      process.stdout.write(`\n${textTable(series)}\n\n${verdictLines(verdicts).join('\n')}\n`)
    if (figures.length > 0) process.stdout.write(`\n${figureLines(figures).join('\n')}\n`)
  }
  if (!options.isWriting) return
  // A server that failed would take its row, and the bar beside it, from the page.
  if (series.some(one => one.runs.length < rounds)) say('not written: see the runs that failed')
  else say(`written: ${await writePerformancePage(everything)}`)
}

async function readyPeers(wanted: readonly Peer[]): Promise<readonly Peer[]> {
  const ready: Peer[] = []
  for (const peer of wanted) {
    const obstacle = await peer.prepare(say)
    if (obstacle === undefined) ready.push(peer)
    else say(`left out: ${peer.name}: ${obstacle}`)
  }
  return ready
}

async function measure(options: BenchOptions, directory: string): Promise<readonly Series[]> {
  const series: Series[] = []
  for (const scenario of options.scenarios)
    for (const peer of options.peers)
      if (isAsked(scenario, peer))
        series.push({
          scenario: scenario.name,
          scenarioTitle: scenario.title,
          peer: peer.name,
          title: peer.title(scenario.isSigned),
          runs: [],
        })
  for (let round = 1; round <= options.rounds; round++)
    for (const scenario of options.scenarios)
      for (const peer of options.peers) {
        const one = find(series, scenario.name, peer.name)
        if (one === undefined) continue
        const about = `round ${round}/${options.rounds}  ${scenario.name.padEnd(10)} ${one.title.padEnd(28)}`
        try {
          const result = await runOnce({ scenario, peer, series, options, directory })
          if (result.duplicates > 0) throw new Error(`${result.duplicates} messages came twice`)
          one.runs.push(result)
          say(`${about} ${summary(result)}`)
        } catch (error) {
          say(`${about} FAILED: ${error instanceof Error ? error.message : String(error)}`)
          process.exitCode = 1
        }
      }
  return series
}

/** Our own scenarios, once each. */
async function measureFigures(
  { figureScenarios, isWriting }: BenchOptions,
  parent: string,
): Promise<readonly MeasuredFigures[]> {
  const measured: MeasuredFigures[] = []
  for (const { name, title, run } of figureScenarios) {
    say(`${name}: ${title}`)
    try {
      const figures = await run({ parent, isWriting, say: line => say(`${name}: ${line}`) })
      measured.push({ scenario: name, title, figures })
    } catch (error) {
      say(`${name} FAILED: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    }
  }
  return measured
}

/** Servers that cannot sign are left out of signed loads; the ceiling has no queue to be late. */
function isAsked(scenario: Scenario, peer: Peer): boolean {
  return (
    (!scenario.isSigned || peer.signs.length > 0) &&
    (scenario.kind !== 'load' || scenario.isSecure !== true || peer.isSecurable) &&
    !(scenario.kind === 'latency' && peer.name === 'ceiling')
  )
}

async function runOnce(run: {
  readonly scenario: Scenario
  readonly peer: Peer
  readonly series: readonly Series[]
  readonly options: BenchOptions
  readonly directory: string
}): Promise<RunResult> {
  const { scenario, peer, series, options, directory } = run
  if (scenario.kind === 'load') {
    if (scenario.isSigned) await checkSigned(peer, directory)
    const messages = options.messages ?? scenario.messages
    const run = scenario.isSecure === true ? runSecureLoad : runLoad
    return { kind: 'load', ...(await run(peer, scenario, { messages, parent: directory })) }
  }
  const highest = median(find(series, scenario.halfOf, peer.name), endToEndRate)
  if (Number.isNaN(highest))
    throw new Error(
      `needs the rate of ${scenario.halfOf}: run it too (--only ${scenario.halfOf},${scenario.name})`,
    )
  const ratePerSecond = Math.max(1, Math.floor(highest / 2))
  return { kind: 'latency', ...(await runLatency(peer, scenario, { ratePerSecond, parent: directory })) }
}

function summary(result: RunResult): string {
  if (result.kind === 'load') {
    const rates = `accepted ${Math.round(result.acceptRate)}/s, end to end ${Math.round(result.endToEndRate)}/s`
    return result.resumption === undefined ? rates : `${rates}; ${resumptionText(result.resumption)}`
  }
  const [accept, delivered] = [result.acceptP99Ms.toFixed(1), result.deliveredP99Ms.toFixed(1)]
  return `at ${Math.round(result.achievedRate)}/s: p99 accept ${accept} ms, delivered ${delivered} ms`
}

await main()
