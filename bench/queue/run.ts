/**
 * A long queue: what it costs in memory, at the start, to fresh mail, and how fast it drains.
 *
 * Many domains, each with an MX name of its own below one provider's suffix. Their receivers are down while the queue
 * stands; fresh mail goes to a receiver of its own, which is up, and comes from another account: a tenant beside the one
 * whose queue it is.
 *
 * Plan: 1. fill a data folder through the store's port; 2. an empty server beside it for comparison; 3. kill and start
 * the full one: when does a first fresh message arrive; 4. latency of fresh mail at both, in turn; memory meanwhile,
 * scrapes included; 5. the empty one's rate towards the many domains; 6. receivers up, the operator asks for a retry of
 * all: the rate of the drain, over a window that begins when it is under way.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { Scratch } from '../../test/support/peers/index.ts'
import { freePort, type Postrider } from '../../test/support/postrider.ts'
import { needRoom } from '../conditions.ts'
import type { Figure, FiguresContext } from '../figures.ts'
import { control, type ScaleServer, scrape, startScaleServer } from '../scale/server.ts'
import {
  type GeneratorProcess,
  manyDomains,
  nowMs,
  oneDomain,
  type SinkProcess,
  startDnsProcess,
  startGenerator,
  startSinkProcess,
} from '../traffic/index.ts'
import { type Door, FreshLoad } from './fresh-load.ts'
import { MemoryWatch } from './memory-watch.ts'

export interface QueueRunOptions {
  readonly recipients: number
  readonly domains: number
  readonly bodySizeBytes: number
}

const providerSuffix = 'mail.protection.outlook.com'
const providerAddresses = Array.from({ length: 16 }, (_, index) => `127.0.8.${index + 1}`)
const freshAddresses = ['127.0.8.101']
const spreadMinutes = 240
const tenant = 'tenant'
const retry = 'schedule = ["4h"]'
const freshRate = 200
const freshSeconds = 10
const latencyRounds = 3
const restMs = 3_000
const normalMessages = 40_000
const drainWindowMs = 30_000
const tracked = 4_000_000
/**
 * Beside the content: rows, two indexes, and the events from `accepted` to `delivered`, with
 * room for the log that they pass.
 */
const bytesPerRecipient = 2_200

export async function runQueue(
  { say, parent }: FiguresContext,
  options: QueueRunOptions,
): Promise<readonly Figure[]> {
  say(await needRoom(parent, options.recipients * (options.bodySizeBytes + bytesPerRecipient)))
  await using scratch = await Scratch.create('bench-queue', parent)
  await using fresh = startSinkProcess()
  await using provider = startSinkProcess()
  await using generator = startGenerator()
  await using dns = startDnsProcess()
  const sinkPort = await fresh.call('start', { addresses: freshAddresses, tracked })
  await provider.call('start', { addresses: providerAddresses, port: sinkPort, tracked: 0 })
  const dnsPort = await dns.call('start', [
    manyDomains(options.domains, providerSuffix, providerAddresses),
    oneDomain(freshAddresses),
  ])
  const base = { sinkPort, dnsPort, retry }
  const [emptyTenant, fullTenant] = [await tenantDoor(), await tenantDoor()]
  const fullFolder = join(scratch.path, 'full')
  const emptyFolder = join(scratch.path, 'empty')
  await fill(say, options, fullFolder, base)
  const load = new FreshLoad(generator, fresh)
  const normal = await normalRateOf(emptyFolder, base, generator, provider, options)
  say(`normal rate towards ${options.domains} domains: ${normal.toFixed(0)}/s`)
  await provider.call('shut')
  const empty = await startScaleServer({ ...base, folder: emptyFolder, toml: emptyTenant.toml })
  await using _empty = empty.program
  await load.run(emptyTenant, freshRate, 5)

  const startMs = nowMs()
  const fullOptions = { ...base, folder: fullFolder, toml: fullTenant.toml }
  const full = await startScaleServer(fullOptions, false)
  await using _full = full.program
  const firstMs = (await load.first(fullTenant)) - startMs
  say(`first fresh message after ${firstMs.toFixed(0)} ms`)
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
  const restartMs = await restartAfterKill(full, fullOptions, fullTenant, load)
  await using again = restartMs.server.program
  memory.follow(again)
  await provider.call('open')
  const drain = await drainRate(again, provider, options, say)
  const drainingMib = memory.peak()
  const million = `${(options.recipients / 1e6).toLocaleString('en')} million deferred`
  return [
    {
      text: `resident memory with ${million}, nothing to do`,
      value: restMib,
      unit: ' MiB',
      bar: below(286),
    },
    {
      text: `the same at most, with fresh mail at ${freshRate}/s and scrapes`,
      value: standingMib,
      unit: ' MiB',
      bar: below(286),
    },
    { text: 'a server with an empty queue under the same mail, at most', value: emptyMib, unit: ' MiB' },
    {
      text: 'resident memory while all of it is retried and drained, at most',
      value: drainingMib,
      unit: ' MiB',
      bar: below(286),
    },
    {
      text: 'first fresh message delivered after a start',
      value: firstMs / 1000,
      unit: ' s',
      digits: 2,
      bar: below(5),
    },
    { text: 'the same after kill -9', value: restartMs.firstMs / 1000, unit: ' s', digits: 2, bar: below(5) },
    {
      text: 'p99 accepted to delivered, another account, empty queue',
      value: median(p99.empty),
      unit: ' ms',
      digits: 1,
    },
    {
      text: 'p99 accepted to delivered, another account, full queue',
      value: median(p99.full),
      unit: ' ms',
      digits: 1,
    },
    {
      text: 'full queue against empty queue, p99',
      value: median(p99.full) / median(p99.empty),
      unit: ' ×',
      digits: 2,
      bar: below(2),
    },
    { text: `normal rate, accept and deliver to ${options.domains} domains`, value: normal, unit: '/s' },
    { text: 'rate of the drain', value: drain, unit: '/s' },
    {
      text: 'the drain against the normal rate',
      value: (drain / normal) * 100,
      unit: ' %',
      bar: { kind: 'at-least', limit: 80 },
    },
  ]
}

const below = (limit: number) => ({ kind: 'below', limit }) as const

type Base = Pick<Parameters<typeof startScaleServer>[0], 'sinkPort' | 'dnsPort' | 'retry'>

async function startNew(folder: string, base: Base): Promise<ScaleServer> {
  await mkdir(folder, { recursive: true })
  const server = await startScaleServer({ ...base, folder })
  await server.program.json('account', 'create', 'bench')
  await server.program.json('account', 'create', tenant)
  return server
}

/** A door of the tenant's. */
async function tenantDoor(): Promise<Door & { readonly toml: string }> {
  const port = await freePort()
  const lines = [
    '[[listener]]',
    `address = "127.0.0.1:${port}"`,
    'kind = "relay"',
    'networks = ["127.0.0.0/8"]',
    `account = "${tenant}"`,
    'senders = "any"',
  ]
  return { port, toml: lines.join('\n') }
}

async function fill(
  say: FiguresContext['say'],
  { recipients, domains, bodySizeBytes }: QueueRunOptions,
  folder: string,
  base: Base,
): Promise<void> {
  const { program } = await startNew(folder, base)
  await program.stop()
  const startMs = nowMs()
  const file = join(import.meta.dirname, 'fill.ts')
  const args = [program.dataDir, recipients, domains, spreadMinutes, bodySizeBytes].map(String)
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout }))
    say(`${line} filled after ${((nowMs() - startMs) / 1000).toFixed(0)} s`)
  if (child.exitCode === null) await once(child, 'exit')
  if (child.exitCode !== 0) throw new Error(`filling ended with ${child.exitCode ?? child.signalCode}`)
  say(
    `filled with ${recipients} recipients through the store's port in ${((nowMs() - startMs) / 1000).toFixed(0)} s`,
  )
}

async function normalRateOf(
  folder: string,
  base: Base,
  generator: GeneratorProcess,
  provider: SinkProcess,
  options: QueueRunOptions,
): Promise<number> {
  const server = await startNew(folder, base)
  try {
    return await normalRate(generator, provider, server, options)
  } finally {
    await server.program.stop()
  }
}

/** Accept and deliver, as fast as it goes, towards the same domains and receivers as the queue. */
async function normalRate(
  generator: GeneratorProcess,
  sink: SinkProcess,
  { port }: ScaleServer,
  { domains, bodySizeBytes }: QueueRunOptions,
): Promise<number> {
  let rate = Number.NaN
  // The first run fills caches: names, plans, the garbage collector's experience.
  for (let round = 0; round < 2; round++) {
    const before = (await sink.call('counts')).recipients
    const { startedMs } = await generator.call('run', {
      port,
      sessions: 50,
      firstMessage: round * normalMessages,
      messages: normalMessages,
      ratePerSecond: null,
      isTolerant: false,
      bodySizeBytes,
      recipientsPerMessage: 1,
      domains,
      isKept: true,
      usesTls: false,
      login: null,
      sender: 'sender@example.com',
    })
    const endMs = await sink.call('waitFor', before + normalMessages)
    rate = (normalMessages / (endMs - startedMs)) * 1000
  }
  return rate
}

async function restartAfterKill(
  full: ScaleServer,
  options: Parameters<typeof startScaleServer>[0],
  door: Door,
  load: FreshLoad,
): Promise<{ readonly firstMs: number; readonly server: ScaleServer }> {
  await full.program.kill()
  const startMs = nowMs()
  const server = await startScaleServer(options, false)
  const firstMs = (await load.first(door)) - startMs
  await server.program.ready(120_000)
  return { firstMs, server }
}

/**
 * Recipients a second over a window that begins with the first tenth of a second of
 * deliveries after the operator's retry.
 */
async function drainRate(
  program: Postrider,
  sink: SinkProcess,
  { recipients }: QueueRunOptions,
  say: (line: string) => void,
): Promise<number> {
  const before = (await sink.call('counts')).recipients
  const askedMs = nowMs()
  await control(program, 'queue.act', { action: 'retry' })
  say(`retry of all took ${((nowMs() - askedMs) / 1000).toFixed(1)} s`)
  // Under way: connections are open and names are known.
  await sink.call('waitFor', before + Math.min(20_000, Math.ceil(recipients / 20)))
  const startMs = nowMs()
  const start = (await sink.call('counts')).recipients
  await Promise.race([delay(drainWindowMs), sink.call('waitFor', before + Math.floor(recipients * 0.95))])
  const { recipients: end, connections } = await sink.call('counts')
  const rate = ((end - start) / (nowMs() - startMs)) * 1000
  say(`drained ${end - before} of ${recipients}, ${rate.toFixed(0)}/s, ${connections} connections so far`)
  return rate
}

/** A scrape counts the queue: it must not take longer than a scraper waits. */
async function scrapeInTime(program: Postrider, say: (line: string) => void): Promise<void> {
  const startMs = nowMs()
  await scrape(program)
  const tookMs = nowMs() - startMs
  if (tookMs > 1000) say(`a scrape took ${tookMs.toFixed(0)} ms`)
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN
}
