/** Under which conditions figures were taken: without them a figure means nothing. */
import { readFile, statfs } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
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
  /** Undefined: measured once, and rounds mean nothing. */
  readonly rounds: number | undefined
  readonly versions: readonly string[]
  /** Processes that wanted a core in the minute before the bench began: its own are not among them. */
  readonly loadBefore: number
  /** What whoever ran it wants to have said; '' for nothing. */
  readonly note: string
}

/** One sentence that names what figures were taken under. */
export function conditionsText(conditions: Conditions): string {
  const { sessions, rounds, versions, note } = conditions
  const runs = rounds === 1 ? 'one round' : `medians of ${rounds} interleaved rounds`
  return [
    `${conditions.date} at commit ${conditions.commit}: ${conditions.processor}, ${conditions.cores} cores, ` +
      `${conditions.memoryGib} GiB memory, ${conditions.system}, kernel ${conditions.kernel}, queues on ${conditions.fileSystem}`,
    `${conditions.loadBefore.toFixed(1)} other processes wanted a core in the minute before`,
    ...(rounds === undefined ? [] : [`${sessions} sessions, ${runs}`]),
    ...versions,
    ...(note === '' ? [] : [note]),
  ].join('; ')
}

/** Read before the first run: the load of the machine is then that of others. */
export async function readConditions(options: {
  readonly directory: string
  readonly rounds: number
  readonly peers: readonly Peer[]
  readonly note: string
}): Promise<Conditions> {
  const root = `${import.meta.dirname}/..`
  const commit = (await runOrThrow('git', ['rev-parse', '--short', 'HEAD'], { cwd: root })).trim()
  const changed = (await runOrThrow('git', ['status', '--porcelain', 'src'], { cwd: root })).trim()
  const osRelease = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const fileSystem = await runOrThrow('stat', ['-f', '-c', '%T', options.directory])
  const versions: string[] = []
  for (const peer of options.peers) versions.push(await peer.version())
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: changed === '' ? commit : `${commit} with uncommitted changes`,
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? process.platform,
    fileSystem: fileSystem.trim(),
    sessions,
    rounds: options.rounds,
    versions,
    loadBefore: loadavg()[0] ?? Number.NaN,
    note: options.note,
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

/** Refuses to begin what the disk has no room for. @returns what was found, to be told. */
export async function needRoom(directory: string, neededBytes: number): Promise<string> {
  const { bavail, bsize } = await statfs(directory)
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`
  const found = `about ${gb(neededBytes)} of disk are needed, ${gb(bavail * bsize)} are free below ${directory}`
  if (bavail * bsize < neededBytes)
    throw new Error(`${found}: free some, or set POSTRIDER_BENCH_DIR to a larger disk`)
  return found
}
