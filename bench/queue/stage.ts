/** What stands on the stage of a long queue: the filled folder, an empty one, the doors, and the normal rate of both. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '../../test/support/postrider.ts'
import type { FiguresContext } from '../figures.ts'
import { type ScaleServer, startScaleServer } from '../scale/server.ts'
import { type GeneratorProcess, nowMs, type SinkProcess } from '../traffic/index.ts'
import type { Door } from './fresh-load.ts'

export interface QueueRunOptions {
  readonly recipients: number
  readonly domains: number
  readonly bodySizeBytes: number
  /** The drain goes on until the queue is empty; else it is watched for a window. */
  readonly isDrainedWhole: boolean
}

export type Base = Pick<Parameters<typeof startScaleServer>[0], 'sinkPort' | 'dnsPort' | 'retry'>

const spreadMinutes = 240
const tenant = 'tenant'
const normalMessages = 40_000

async function startNew(folder: string, base: Base): Promise<ScaleServer> {
  await mkdir(folder, { recursive: true })
  const server = await startScaleServer({ ...base, folder })
  await server.program.json('account', 'create', 'bench')
  await server.program.json('account', 'create', tenant)
  return server
}

/** A door of the tenant's. */
export async function tenantDoor(): Promise<Door & { readonly toml: string }> {
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

export async function fill(
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

export async function normalRateOf(
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
