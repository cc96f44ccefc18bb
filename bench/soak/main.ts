/**
 * `npm run soak`: hours of load with a receiver that misbehaves, and the question whether anything grows, stalls or
 * is lost.
 *
 * Plan: 1. start sink, DNS and server; without --rate, a short run without faults says what 70 % is; 2. faults on, load
 * at an even rate; every so often the receiver is down for 20 seconds; 3. load off, faults off, the queue gets time
 * to empty; 4. ledger, memory, event loops judged; everything is kept in bench/results. Exit code 1 when one fails.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runOrThrow } from '../../test/support/peers/index.ts'
import type { Postrider } from '../../test/support/postrider.ts'
import { refuseMemoryFileSystem } from '../conditions.ts'
import { countQueued, scrape, startScaleServer } from '../scale/server.ts'
import {
  everydayFaults,
  type GeneratorProcess,
  type LoadOptions,
  makeSinkPem,
  manyDomains,
  type SinkProcess,
  startDnsProcess,
  startGenerator,
  startSinkProcess,
} from '../traffic/index.ts'
import { Workspace } from '../workspace.ts'
import { spreadOf } from './histogram.ts'
import { judgeSoak, type SoakReport } from './judge.ts'
import { makeLedger } from './ledger.ts'
import { readSoakOptions, type SoakOptions } from './options.ts'
import { SoakWatch } from './watch.ts'

const say = (line: string): void =>
  void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)

const calibrationMs = 20_000
const calibrationMessages = 200_000
const ratedShare = 0.7
const outageMs = 20_000
const emptyingMs = 600_000
const domains = 200
const addresses = Array.from({ length: 8 }, (_, index) => `127.0.9.${index + 1}`)

async function main(): Promise<void> {
  const options = readSoakOptions(process.argv.slice(2))
  if (typeof options === 'string') {
    say(options)
    process.exitCode = 2
    return
  }
  const parent = process.env['POSTRIDER_BENCH_DIR'] ?? tmpdir()
  await refuseMemoryFileSystem(parent)
  const results = join(import.meta.dirname, '../results')
  await mkdir(results, { recursive: true })
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  const report = await soak(options, parent, join(results, `soak-${stamp}.jsonl`))
  await writeFile(join(results, `soak-${stamp}.json`), JSON.stringify(report, null, 2))
  const verdicts = judgeSoak(report)
  process.stdout.write(`${verdicts.map(one => `${one.isMet ? 'met' : 'MISSED'} – ${one.text}`).join('\n')}\n`)
  if (verdicts.some(one => !one.isMet)) process.exitCode = 1
}

async function soak(options: SoakOptions, parent: string, samplesPath: string): Promise<SoakReport> {
  await using scratch = await Workspace.open(parent)
  await using sink = startSinkProcess()
  await using generator = startGenerator()
  await using dns = startDnsProcess()
  const tracked = Math.ceil(options.minutes * 60 * (options.ratePerSecond ?? 12_000)) + calibrationMessages
  const pem = await makeSinkPem(scratch.path)
  const sinkPort = await sink.call('start', { addresses, ...pem, tracked })
  const dnsPort = await dns.call('start', [manyDomains(domains, 'mx.receivers.test', addresses)])
  const { program, port } = await startScaleServer({
    folder: scratch.path,
    sinkPort,
    dnsPort,
    retry: 'schedule = ["10s", "20s", "40s", "1m"]\nexpire = "15m"',
  })
  await using _program = program
  await program.json('account', 'create', 'bench')
  const load: LoadOptions = {
    port,
    sessions: options.sessions,
    firstMessage: 0,
    messages: calibrationMessages,
    ratePerSecond: null,
    isTolerant: false,
    bodySizeBytes: options.bodySizeBytes,
    recipientsPerMessage: 1,
    domains,
    isKept: true,
    usesTls: false,
    login: null,
    sender: 'sender@example.com',
  }
  const ratePerSecond = options.ratePerSecond ?? (await ratedLoad(generator, sink, load)) * ratedShare
  const messages = Math.ceil(ratePerSecond * options.minutes * 60)
  // Calibration used the first numbers; the soak's own must be new to the receiver.
  const firstMessage = options.ratePerSecond === null ? calibrationMessages : 0
  await untilEmpty(program)
  // The first one loads what later ones use.
  await scrape(program)
  const before = await scrape(program)
  say(
    `${Math.round(ratePerSecond)} messages/s for ${options.minutes} minutes, seed ${options.seed}, samples in ${samplesPath}`,
  )
  await sink.call('misbehave', everydayFaults, options.seed)
  const watch = new SoakWatch(program, samplesPath)
  const ending = new AbortController()
  const outages = makeOutages(sink, options.awayEverySeconds * 1000, ending.signal)
  const outcome = await generator.call('run', {
    ...load,
    firstMessage,
    messages,
    ratePerSecond,
    isTolerant: true,
  })
  ending.abort()
  const outageCount = await outages
  await watch.stop()
  say(`load over: ${outcome.accepted} accepted, ${outcome.refused} refused, ${outcome.unknown} unknown`)
  await sink.call('misbehave', null, 0)
  const emptyingSeconds = await untilEmpty(program)
  const after = await scrape(program)
  const [arrivals, taken, refused, counts] = [
    await sink.call('arrivals'),
    await sink.call('taken'),
    await sink.call('refused'),
    await sink.call('counts'),
  ]
  const receiver = {
    arrivals: arrivals.subarray(firstMessage),
    taken: taken.subarray(firstMessage),
    refused: refused.subarray(firstMessage),
    counts,
  }
  const ledger = makeLedger(outcome, receiver, { before, after, queued: await countQueued(program) })
  const acceptMs = outcome.acceptedMs
    .map((at, index) => (at === 0 ? 0 : at - (outcome.dueMs[index] ?? 0)))
    .filter(ms => ms > 0)
    .sort()
  return {
    options: { ...options, ratePerSecond },
    commit: (await runOrThrow('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname })).trim(),
    ledger,
    outages: outageCount,
    faults: everydayFaults,
    failedScrapes: watch.failures,
    acceptP50Ms: acceptMs[Math.floor(acceptMs.length * 0.5)] ?? Number.NaN,
    acceptP99Ms: acceptMs[Math.floor(acceptMs.length * 0.99)] ?? Number.NaN,
    acceptedPerSecond: (outcome.accepted / (outcome.endedMs - outcome.startedMs)) * 1000,
    emptyingSeconds,
    commits: spreadOf('postrider_store_commit_seconds', before, after),
    samples: watch.samples,
  }
}

/** End to end, without faults. */
async function ratedLoad(generator: GeneratorProcess, sink: SinkProcess, load: LoadOptions): Promise<number> {
  say('calibrating: as fast as it goes, without faults')
  const running = generator.call('run', load)
  await delay(calibrationMs)
  await generator.call('stop')
  const { startedMs, accepted } = await running
  const endMs = await sink.call('waitFor', accepted)
  return (accepted / (endMs - startedMs)) * 1000
}

async function makeOutages(sink: SinkProcess, everyMs: number, signal: AbortSignal): Promise<number> {
  let count = 0
  while (!signal.aborted) {
    await delay(everyMs, undefined, { signal }).catch(() => {})
    if (signal.aborted) break
    say(`receiver down for ${outageMs / 1000} s`)
    await sink.call('shut')
    await delay(outageMs)
    await sink.call('open')
    count++
  }
  return count
}

/** Waits until the queue is empty or its time is up. @returns how many seconds that took. */
async function untilEmpty(program: Postrider): Promise<number> {
  const startedMs = performance.now()
  for (;;) {
    const queued = await countQueued(program)
    const tookMs = performance.now() - startedMs
    if (queued === 0 || tookMs > emptyingMs) return tookMs / 1000
    say(`${queued} still queued`)
    await delay(2_000)
  }
}

await main()
