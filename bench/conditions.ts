/** Under which conditions figures were taken: without them a figure means nothing. */
import { readFile, statfs } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { runOrThrow } from '../test/support/peers/index.ts'
import type { Peer } from './peers/index.ts'
import { sessions } from './scenarios.ts'

export interface Conditions {
  readonly date: string
  readonly commit: string
  readonly processor: string
  readonly cores: number
  readonly memoryGib: number
  readonly kernel: string
  readonly system: string
  readonly fileSystem: string
  readonly sessions: number
  readonly rounds: number
  readonly versions: readonly string[]
}

export async function readConditions(options: {
  readonly directory: string
  readonly rounds: number
  readonly peers: readonly Peer[]
}): Promise<Conditions> {
  const root = `${import.meta.dirname}/..`
  const commit = (await runOrThrow('git', ['rev-parse', '--short', 'HEAD'], { cwd: root })).trim()
  const osRelease = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const fileSystem = await runOrThrow('stat', ['-f', '-c', '%T', options.directory])
  const versions: string[] = []
  for (const peer of options.peers) versions.push(await peer.version())
  return {
    date: new Date().toISOString().slice(0, 10),
    commit,
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? process.platform,
    fileSystem: fileSystem.trim(),
    sessions,
    rounds: options.rounds,
    versions,
  }
}

const tmpfsMagic = 0x0102_1994

/** Figures of durable queues mean nothing where fsync is free: reject a memory file system. */
export async function refuseMemoryFileSystem(directory: string): Promise<void> {
  if ((await statfs(directory)).type === tmpfsMagic)
    throw new Error(
      `${directory} is in memory, so fsync costs nothing there: set POSTRIDER_BENCH_DIR to a disk`,
    )
}
