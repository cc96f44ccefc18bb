/**
 * Postrider as our own scenarios run it: delivering by MX to the sink's domains, on a data folder that outlives
 * restarts. What a scenario needs beyond that it adds as TOML.
 */
import { readFileSync } from 'node:fs'
import { connectControl, findSocket } from '../../src/api/control/index.ts'
import { freePort, Postrider } from '../../test/support/postrider.ts'

export interface ScaleServerOptions {
  /** Holds configuration and data; kept when the server ends. */
  readonly folder: string
  readonly sinkPort: number
  readonly dnsPort: number
  /** Further tables. Keys of `[delivery]` and `[retry]` go below. */
  readonly toml?: string
  readonly delivery?: string
  readonly retry?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A started server with its door. */
export interface ScaleServer {
  readonly program: Postrider
  readonly port: number
}

/** Starts; with `isWaiting` false it answers at once, and the caller asks `program.ready()`. */
export async function startScaleServer(options: ScaleServerOptions, isWaiting = true): Promise<ScaleServer> {
  const port = await freePort()
  const toml = [
    '[[listener]]',
    `address = "127.0.0.1:${port}"`,
    'kind = "relay"',
    'networks = ["127.0.0.0/8"]',
    'account = "bench"',
    'senders = "any"',
    '[delivery]',
    `port = ${options.sinkPort}`,
    'allow_private = ["127.0.0.0/8"]',
    options.delivery ?? '',
    '[dns]',
    `servers = ["127.0.0.1:${options.dnsPort}"]`,
    '[retry]',
    options.retry ?? 'schedule = ["1h"]',
    '[lab]',
    'enabled = false',
    options.toml ?? '',
  ].join('\n')
  const program = await Postrider.launch({
    toml,
    folder: options.folder,
    hostname: 'bench.test',
    ...(options.env === undefined ? {} : { env: options.env }),
  })
  if (isWaiting) await program.ready(120_000)
  return { program, port }
}

/** Resident memory of a process, MiB. */
export function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) / 1024
}

/** Values of a scrape by name with labels, as `name{label="value"}`. */
export async function scrape(program: Postrider): Promise<ReadonlyMap<string, number>> {
  // A server that does not answer is a finding, not a reason to wait.
  const signal = AbortSignal.timeout(15_000)
  const answer = await fetch(`http://127.0.0.1:${program.httpPort}/metrics`, { signal })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}: ${text}`)
  const values = new Map<string, number>()
  for (const line of text.split('\n')) {
    const space = line.lastIndexOf(' ')
    if (line.startsWith('#') || space < 0) continue
    values.set(line.slice(0, space), Number(line.slice(space + 1)))
  }
  return values
}

/** Runs a command over the control socket. */
export async function control(
  program: Postrider,
  command: string,
  given: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  const connected = await connectControl(findSocket(program.dataDir))
  if (!connected.ok) throw new Error(connected.error.message)
  using client = connected.client
  const outcome = await client.call(command, given)
  if (!outcome.ok) throw new Error(`${command}: ${outcome.error.message}`)
  return outcome.value
}

/** Recipients in the queue now, in all states; a scrape's count may be half a minute old. */
export async function countQueued(program: Postrider): Promise<number> {
  const counts = (await control(program, 'queue.count')) as Readonly<Record<string, number>>
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}
