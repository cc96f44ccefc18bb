// `postrider serve`: builds the relay in order, keeps it running, ends it gracefully.
//
// The plan:
//   1. prepare: configuration, data folder and its lock, keys, certificate, addresses (every problem is a sentence);
//   2. lab, when it is on; store thread: open, migrate, take back what was leased;
//   3. first-run account when there is no configuration and no account; relay threads: build, and open their files;
//   4. bind the doors and HTTP, as root if need be; drop privileges; only now sessions and deliveries begin;
//   5. control socket; ready; what the start used of the memory goes back;
//   6. until SIGTERM, SIGINT or a failure: SIGHUP reloads, ticket keys rotate daily;
//   7. drain, close everything in the reverse order; what does not come to its end in time is cut off.
// Exit code 0 after a graceful end, 1 when something could not be had or broke.

import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { startControlServer } from '../api/control/index.ts'
import { OperationsServer } from '../api/index.ts'
import { systemClock } from '../base/index.ts'
import { formatProblem, formatSocketAddress, type Problem } from '../config/index.ts'
import { isStoreError, startStoreThread, walPath } from '../store/index.ts'
import {
  createLog,
  type Log,
  type LogOutput,
  metricsContentType,
  standardOutput,
} from '../telemetry/index.ts'
import { controlPorts } from './control-ports.ts'
import { limitEnd } from './end-limit.ts'
import { isFirstRun, sampleCommand, setUpFirstRun } from './first-run.ts'
import type { Hangups } from './hangups.ts'
import { boundHeapGrowth } from './heap-growth.ts'
import { Housekeeping } from './housekeeping.ts'
import { startLabFor } from './lab-host.ts'
import { checkAddresses, describe, takeTurn } from './listen-check.ts'
import { MainParts } from './main-parts.ts'
import { type Prepared, prepare } from './prepare.ts'
import { Reloader } from './reload.ts'
import { collectStartGarbage } from './start-garbage.ts'
import { StoreHealth } from './store-health.ts'
import { WalWatch } from './wal-watch.ts'

/** How long everything may take to close, after the drain and after a failure. */
const closeMsMax = 15_000
const failedCloseMsMax = 10_000

/** What the server is started with. */
export interface ServeOptions {
  /** The value of --config. */
  readonly configPath: string | undefined
  /** SIGHUP since the process began. */
  readonly hangups: Hangups
}

interface Stop {
  readonly kind: 'signal'
  readonly name: string
}

interface Failure {
  readonly kind: 'failed'
  readonly error: Error
}

/** Runs until it is told to stop; gives the exit code. */
export async function serve(options: ServeOptions): Promise<0 | 1> {
  // A log file on a full disk is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  boundHeapGrowth()
  const prepared = await prepare(options.configPath)
  if (!('config' in prepared)) return report(prepared)
  using _lock = prepared.lock
  const output = standardOutput()
  const log = createLog({ level: prepared.config.log.level, output, fields: { thread: 'main' } })
  try {
    for (const warning of prepared.warnings) log.event('config.warning', { ...warning })
    return await run(prepared, options, log, output)
  } catch (error) {
    if (isStoreError(error))
      return report([{ where: prepared.config.dataDir, what: error.message, hint: error.hint ?? '' }])
    log.event('server.failed', { err: error })
    const hint = 'the log has more of it (server.failed); nothing accepted is lost; if it stays so, report it'
    return report([{ where: 'server', what: (error as Error).message, hint }])
  } finally {
    await output.flushed()
  }
}

async function run(
  prepared: Prepared,
  { configPath, hangups }: ServeOptions,
  log: Log,
  output: LogOutput,
): Promise<0 | 1> {
  const { config, rights } = prepared
  log.event('server.starting', {
    config: prepared.configPath,
    dataDir: config.dataDir,
    processId: process.pid,
  })
  const stopping = watchSignals()
  const lab = await rights.asRoot(() => startLabFor(config, log))
  if (lab !== null && 'what' in lab) return report([lab])
  await using _lab = lab
  using health = new StoreHealth(log, systemClock)
  await using host = await startStoreThread({ dataDir: config.dataDir, node: 1, nowMs: Date.now() }, health)
  if (host.clockBehindMs > 0) log.event('clock.jumped', { byMs: -host.clockBehindMs })
  await using parts = MainParts.open(prepared, host, health, lab?.addresses ?? null, log)
  const firstRun = await firstRunOf(prepared, parts)
  parts.startThreads()
  // Their files are made by now: none is made as root.
  await parts.relays.built()
  await using http = new OperationsServer({
    readiness: () => parts.readiness(),
    metrics: () => parts.scrape(),
    metricsContentType,
  })
  const refused = await rights.asRoot(() => openDoors(parts, http))
  if (refused.length > 0) return report(refused)
  rights.drop()
  await parts.relays.begin()
  const control = await startControlServer(
    {
      dataDir: config.dataDir,
      shortFolders: { runtimeDir: process.env['XDG_RUNTIME_DIR'], temporaryDir: tmpdir() },
    },
    controlPorts(parts, lab, () => stopping.stop('control')),
  )
  if (!control.ok)
    return report([{ where: config.dataDir, what: control.error.message, hint: control.error.hint }])
  await using _control = control.server
  using _wal = new WalWatch(walPath(config.dataDir), () => parts.store.checkpoint(), systemClock, log)
  using _housekeeping = new Housekeeping(parts, systemClock, log)
  parts.becomeReady()
  using _reload = new Reloader(parts, hangups, configPath, log)
  if (firstRun !== null) {
    // Behind the lines of the log so far, of which one may be under way: people read the last thing on the screen.
    output.write(firstRun)
  }
  collectStartGarbage()
  const failed = Promise.race([failure(host.failed), failure(parts.relays.failed)])
  const end = await Promise.race([stopping.ended, failed])
  return end.kind === 'failed'
    ? await giveUp(parts, end, log, output)
    : await drain(parts, end, failed, log, output)
}

/**
 * Binds everything that may need root. No other server opens its doors meanwhile: two that pass the check together would
 * share their ports. The problems say what could not be had.
 */
async function openDoors(parts: MainParts, http: OperationsServer): Promise<readonly Problem[]> {
  await using _turn = await takeTurn()
  const problems = await checkAddresses(parts.config.listeners.map(({ address }) => address))
  if (problems.length > 0) return problems
  const failure = await parts.relays.bind()
  if (failure !== null) return [describe(failure.address, failure.code)]
  const { address } = parts.config.http
  const opened = address === null ? null : await http.open(address)
  if (opened === null || opened.ok) return []
  return [{ where: '[http] address', what: opened.what, hint: opened.hint }]
}

/** @param failed what it cannot do without may break on the way, too */
async function drain(
  parts: MainParts,
  { name }: Stop,
  failed: Promise<Failure>,
  log: Log,
  output: LogOutput,
): Promise<0 | 1> {
  log.event('server.draining', { signal: name })
  parts.becomeDraining()
  const { drainMs } = parts.config.limits
  const limit = limitEnd(0, drainMs + closeMsMax, log, output)
  const drained = parts.relays.close(drainMs).then(
    () => null,
    (error: Error): Failure => ({ kind: 'failed', error }),
  )
  const broken = await Promise.race([drained, failed])
  if (broken !== null) {
    limit[Symbol.dispose]()
    return await giveUp(parts, broken, log, output)
  }
  log.event('server.stopped', { code: 0 })
  return 0
}

async function giveUp(parts: MainParts, { error }: Failure, log: Log, output: LogOutput): Promise<1> {
  limitEnd(1, failedCloseMsMax, log, output)
  log.event('server.failed', { err: error })
  await parts.relays.terminate()
  return report([{ where: 'server', what: error.message, hint: 'start it again: nothing accepted is lost' }])
}

async function firstRunOf(prepared: Prepared, parts: MainParts): Promise<string | null> {
  const { config } = prepared
  if (prepared.configPath !== null || !isFirstRun(parts.store.accounts, config.dataDir)) return null
  const smtp = config.listeners.find(({ kind }) => kind === 'submission')?.address ?? {
    host: '127.0.0.1',
    port: 2587,
  }
  const { address } = config.http
  const http = address === null ? '' : `http://${formatSocketAddress(address)}`
  const firstRun = await setUpFirstRun(parts.accountService, config.dataDir, smtp, http, randomBytes)
  parts.store.accounts.forget()
  parts.log.event('first-run.ready', { username: firstRun.username })
  return [
    '',
    'Postrider is ready. Send a first message from another terminal:',
    '',
    sampleCommand(firstRun, config.dataDir),
    '',
    `Then: npx postrider message list   (the secret is kept in ${relative('', join(config.dataDir, 'first-run.json'))})`,
    '',
    '',
  ].join('\n')
}

/** SIGTERM and SIGINT end gracefully; a second one is left to the system's default. */
function watchSignals(): { readonly ended: Promise<Stop>; stop(name: string): void } {
  const { promise, resolve } = Promise.withResolvers<Stop>()
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    process.once(name, () => resolve({ kind: 'signal', name }))
  return { ended: promise, stop: name => resolve({ kind: 'signal', name }) }
}

async function failure(failed: Promise<Error>): Promise<Failure> {
  return { kind: 'failed', error: await failed }
}

function report(problems: readonly Problem[]): 1 {
  for (const problem of problems) process.stderr.write(`postrider: ${formatProblem(problem)}\n`)
  return 1
}
