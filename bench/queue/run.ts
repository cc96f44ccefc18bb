/**
 * A long queue: what it costs in memory, at the start, to fresh mail, and how fast it drains.
 *
 * Many domains, each with an MX name of its own below one provider's suffix. Their receivers are down while the queue
 * stands; fresh mail goes to a receiver of its own, which is up, and comes from another account: a tenant beside the one
 * whose queue it is.
 *
 * Plan: 1. fill a data folder through the store's port; 2. an empty server beside it for comparison, and its rate towards the
 * many domains; 3. start the full one: when does a first fresh message arrive; 4. latency of fresh mail at both, in turn,
 * while nothing is due; memory meanwhile, scrapes included; 5. kill -9 with nothing in hand, and the first message again;
 * 6. the operator asks for a retry of all: latency once more, while all of it is due and fails; 7. receivers up: the rate of
 * the drain, over a window that begins when it is under way; 8. kill -9 in the middle of it, the first message again, and
 * the drain goes on: to its end, where that is asked for, and what came is held against what was queued; else until it is
 * under way again.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Scratch } from '../../test/support/peers/index.ts'
import type { Postrider } from '../../test/support/postrider.ts'
import { needRoom } from '../conditions.ts'
import type { Figure, FiguresContext } from '../figures.ts'
import { control, countQueued, type ScaleServer, scrape, startScaleServer } from '../scale/server.ts'
import {
  manyDomains,
  nowMs,
  oneDomain,
  type SinkProcess,
  startDnsProcess,
  startGenerator,
  startSinkProcess,
} from '../traffic/index.ts'
import { DrainWatch } from './drain-watch.ts'
import { type Door, FreshLoad } from './fresh-load.ts'
import { MemoryWatch } from './memory-watch.ts'
import { type DrainEnd, queueFigures } from './rows.ts'
import { fill, normalRateOf, type QueueRunOptions, tenantDoor } from './stage.ts'

const providerSuffix = 'mail.protection.outlook.com'
const providerAddresses = Array.from({ length: 16 }, (_, index) => `127.0.8.${index + 1}`)
const freshAddresses = ['127.0.8.101']
/** What fails is due again soon: while the receivers are down, all of the queue stays due. */
const retry = 'schedule = ["10s"]'
const freshRate = 200
const freshSeconds = 10
const freshMessagesMax = 50_000
const latencyRounds = 3
const restMs = 3_000
const drainWindowMs = 30_000
const stallMs = 60_000
/**
 * Beside the content: rows, two indexes, and the events from `accepted` to `delivered`, with
 * room for the log that they pass.
 */
const bytesPerRecipient = 2_200

type Say = FiguresContext['say']

export async function runQueue(
  { say, parent }: FiguresContext,
  options: QueueRunOptions,
): Promise<readonly Figure[]> {
  const { recipients, domains, bodySizeBytes } = options
  say(await needRoom(parent, recipients * (bodySizeBytes + bytesPerRecipient)))
  await using scratch = await Scratch.create('bench-queue', parent)
  await using fresh = startSinkProcess()
  await using provider = startSinkProcess()
  await using generator = startGenerator()
  await using dns = startDnsProcess()
  const sinkPort = await fresh.call('start', { addresses: freshAddresses, tracked: freshMessagesMax })
  await provider.call('start', { addresses: providerAddresses, port: sinkPort, tracked: recipients })
  const dnsPort = await dns.call('start', [
    manyDomains(domains, providerSuffix, providerAddresses),
    oneDomain(freshAddresses),
  ])
  const base = { sinkPort, dnsPort, retry }
  const [emptyTenant, fullTenant] = [await tenantDoor(), await tenantDoor()]
  const fullFolder = join(scratch.path, 'full')
  const emptyFolder = join(scratch.path, 'empty')
  await fill(say, options, fullFolder, base)
  const load = new FreshLoad({
    send: options => generator.call('run', options),
    arrivals: () => fresh.call('arrivals'),
  })
  const normalRate = await normalRateOf(emptyFolder, base, generator, provider, options)
  say(`normal rate towards ${domains} domains: ${normalRate.toFixed(0)}/s`)
  await provider.call('shut')
  await provider.call('forget')
  const empty = await startScaleServer({ ...base, folder: emptyFolder, toml: emptyTenant.toml })
  await using _empty = empty.program
  await load.run(emptyTenant, freshRate, 5)

  const startMs = nowMs()
  const fullOptions = { ...base, folder: fullFolder, toml: fullTenant.toml }
  const full = await startScaleServer(fullOptions, false)
  await using _full = full.program
  const first = { start: (await load.first(fullTenant)) - startMs, kill: 0, killInDrain: 0 }
  say(`first fresh message after ${first.start.toFixed(0)} ms`)
  using emptyMemory = new MemoryWatch(empty.program)
  using memory = new MemoryWatch(full.program)
  await delay(restMs)
  memory.peak()
  await delay(restMs)
  const restMib = memory.peak()
  const p99 = { empty: [] as number[], full: [] as number[] }
  for (let round = 0; round < latencyRounds; round++) {
    p99.empty.push(await load.run(emptyTenant, freshRate, freshSeconds))
    p99.full.push(await load.run(fullTenant, freshRate, freshSeconds))
    for (const { program } of [empty, full]) await scrapeInTime(program, say)
    say(`p99 empty ${p99.empty.at(-1)!.toFixed(1)} ms, full ${p99.full.at(-1)!.toFixed(1)} ms`)
  }
  const standingMib = memory.peak()
  const emptyMib = emptyMemory.peak()
  say(
    `resident ${restMib.toFixed(0)} MiB at rest, ${standingMib.toFixed(0)} with fresh mail, ${emptyMib.toFixed(0)} without a queue`,
  )
  const restart = (server: ScaleServer) => restartAfterKill(server, fullOptions, fullTenant, load, memory)
  const again = await restart(full)
  await using _again = again.server.program
  first.kill = again.firstMs

  await retryAll(again.server.program, say)
  const retried = await whileRetried(again.server.program, load, fullTenant, emptyTenant, say)
  const retriedMib = memory.peak()
  const came = async () => (await provider.call('counts')).recipients
  const before = await came()
  const watch = new DrainWatch({ came, lookEveryMs: 250, stallMs })
  const openedMs = nowMs()
  await provider.call('open')
  await forgetFailures(again.server.program)
  const drainRate = await rateOf(watch, before, recipients, say)
  const inHandAtKill = (await scrape(again.server.program)).get('postrider_ready_queue_recipients') ?? 0
  const drainedMib = memory.peak()
  const last = await restart(again.server)
  await using program = last.server.program
  first.killInDrain = last.firstMs
  say(`killed with ${inHandAtKill} in hand, first fresh message after ${last.firstMs.toFixed(0)} ms`)
  const end = options.isDrainedWhole
    ? await drainToTheEnd({ program, provider, watch, before, recipients, openedMs, say })
    : await goesOn(watch, await came(), recipients)
  const peaksMib = { retried: retriedMib, drained: drainedMib, afterKill: memory.peak() }
  say(
    `resident at most, MiB: ${JSON.stringify(peaksMib, (_, one) => (typeof one === 'number' ? Math.round(one) : one))}`,
  )
  return queueFigures({
    ...options,
    freshRate,
    restMib,
    standingMib,
    emptyMib,
    drainingMib: Math.max(...Object.values(peaksMib)),
    firstMs: first,
    inHandAtKill,
    p99Ms: { empty: median(p99.empty), full: median(p99.full), ...retried.p99Ms },
    failedRate: retried.failedRate,
    normalRate,
    drainRate,
    drainWindowMs,
    longestPauseMs: watch.longestPauseMs,
    stallMs,
    end,
    cameTwice: (await provider.call('counts')).twice,
  })
}

/** kill -9, and a new life whose memory is watched from its first moment. */
async function restartAfterKill(
  old: ScaleServer,
  options: Parameters<typeof startScaleServer>[0],
  door: Door,
  load: FreshLoad,
  memory: MemoryWatch,
): Promise<{ readonly firstMs: number; readonly server: ScaleServer }> {
  await old.program.kill()
  const startMs = nowMs()
  const server = await startScaleServer(options, false)
  memory.follow(server.program)
  const firstMs = (await load.first(door)) - startMs
  await server.program.ready(120_000)
  return { firstMs, server }
}

async function retryAll(program: Postrider, say: Say): Promise<void> {
  const askedMs = nowMs()
  await control(program, 'queue.act', { action: 'retry' })
  say(`retry of all took ${((nowMs() - askedMs) / 1000).toFixed(1)} s`)
}

/** Fresh mail while all of the queue is due, is leased, and fails; and at the empty server beside that. */
async function whileRetried(program: Postrider, load: FreshLoad, full: Door, empty: Door, say: Say) {
  const failed = async () => (await scrape(program)).get('postrider_outcomes_total{kind="deferred"}') ?? 0
  await delay(restMs)
  const [startMs, failedBefore] = [nowMs(), await failed()]
  const fullWhileRetried = await load.run(full, freshRate, freshSeconds)
  const emptyWhileRetried = await load.run(empty, freshRate, freshSeconds)
  const failedRate = (((await failed()) - failedBefore) / (nowMs() - startMs)) * 1000
  say(
    `all due, ${failedRate.toFixed(0)}/s fail: p99 ${fullWhileRetried.toFixed(1)} ms, ` +
      `${emptyWhileRetried.toFixed(1)} ms at the empty one`,
  )
  return { p99Ms: { fullWhileRetried, emptyWhileRetried }, failedRate }
}

/** An operator's retry, of one message: hosts that failed may be tried again. */
async function forgetFailures(program: Postrider): Promise<void> {
  const { items } = (await control(program, 'queue.list', { limit: 1 })) as {
    readonly items: readonly { readonly messageId: string }[]
  }
  await control(program, 'queue.act', { action: 'retry', message: items[0]!.messageId })
}

/** Recipients a second over a window that begins when connections are open and names are known. */
async function rateOf(watch: DrainWatch, before: number, recipients: number, say: Say): Promise<number> {
  if (!(await watch.until(came => came - before >= underWay(recipients)))) return stoodStill(say)
  const startMs = nowMs()
  let start = -1
  let end = -1
  const isWhole = await watch.until(came => {
    if (start < 0) start = came
    end = came
    return nowMs() - startMs >= drainWindowMs || came - before >= recipients * 0.8
  })
  if (!isWhole) return stoodStill(say)
  const rate = ((end - start) / (nowMs() - startMs)) * 1000
  say(`drained ${end - before} of ${recipients}, ${rate.toFixed(0)}/s`)
  return rate
}

function underWay(recipients: number): number {
  return Math.min(20_000, Math.ceil(recipients / 20))
}

/** A rate of nothing: the bars say the rest. */
function stoodStill(say: Say): number {
  say(`THE DRAIN STANDS STILL: nothing came for ${stallMs / 1000} s`)
  return 0
}

/** After the kill, where the end is not waited for. */
async function goesOn(watch: DrainWatch, before: number, recipients: number): Promise<null> {
  await watch.until(came => came - before >= underWay(recipients))
  return null
}

interface WholeDrain {
  readonly program: Postrider
  readonly provider: SinkProcess
  readonly watch: DrainWatch
  readonly before: number
  readonly recipients: number
  readonly openedMs: number
  readonly say: Say
}

/** Until the queue is empty; then what came is held against what was queued, one by one. */
async function drainToTheEnd(drain: WholeDrain): Promise<DrainEnd> {
  const { program, provider, watch, before, recipients, openedMs, say } = drain
  let last = -1
  const isEmpty = await watch.until(async came => {
    // Counting reads the whole queue: only when the end may have come.
    const mayBeOver = came === last || came - before >= recipients
    last = came
    return mayBeOver && (await countQueued(program)) === 0
  })
  const tookMs = nowMs() - openedMs
  if (!isEmpty) stoodStill(say)
  const stillQueued = isEmpty ? 0 : await countQueued(program)
  const neverCame = (await provider.call('arrivals')).reduce((sum, at) => sum + (at === 0 ? 1 : 0), 0)
  say(`after ${(tookMs / 1000).toFixed(0)} s ${stillQueued} are queued, and ${neverCame} never came`)
  return { tookMs, stillQueued, neverCame }
}

/** A scrape counts the queue: it must not take longer than a scraper waits. */
async function scrapeInTime(program: Postrider, say: Say): Promise<void> {
  const startMs = nowMs()
  await scrape(program)
  const tookMs = nowMs() - startMs
  if (tookMs > 1000) say(`a scrape took ${tookMs.toFixed(0)} ms`)
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN
}
