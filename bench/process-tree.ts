/**
 * CPU time and memory of a whole process tree, read from /proc.
 *
 * CPU is user + system time of every live process of the tree plus what each has collected from children it
 * waited for, so short-lived processes (Postfix's) are counted once, by their parent. Memory is the
 * proportional set size: pages shared by a hundred processes count once in all, not a hundred times.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks of /proc/<pid>/stat are 1/100 s on every Linux that Node runs on. */
const ticksPerSecond = 100

interface Stat {
  readonly parent: number
  readonly cpuTicks: number
}

/** The given processes and all their descendants, as far as they are alive. */
function readTree(roots: readonly number[]): ReadonlyMap<number, Stat> {
  const all = new Map<number, Stat>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = readStat(Number(name))
    if (stat !== undefined) all.set(Number(name), stat)
  }
  const tree = new Map<number, Stat>()
  const isInside = (pid: number): boolean => {
    for (let at = pid; at > 1; at = all.get(at)?.parent ?? 0) if (roots.includes(at)) return true
    return false
  }
  for (const [pid, stat] of all) if (isInside(pid)) tree.set(pid, stat)
  return tree
}

/** Everybody below a process, as far as they are alive. */
export function descendants(pid: number): readonly number[] {
  return [...readTree([pid]).keys()].filter(one => one !== pid)
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold anything; the numbered fields start after its last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const field = (number: number): number => Number(fields[number - 3])
    return { parent: field(4), cpuTicks: field(14) + field(15) + field(16) + field(17) }
  } catch {
    return undefined // it ended meanwhile
  }
}

function readPssKib(pid: number): number {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))
    return Number(match?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** CPU seconds the trees have used since they started. */
export function cpuSeconds(roots: readonly number[]): number {
  let ticks = 0
  for (const stat of readTree(roots).values()) ticks += stat.cpuTicks
  return ticks / ticksPerSecond
}

/** Proportional set size of the trees right now, in MiB. */
export function memoryMib(roots: readonly number[]): number {
  let kib = 0
  for (const pid of readTree(roots).keys()) kib += readPssKib(pid)
  return kib / 1024
}

/** Samples memory while a run lasts. `stop` answers the peak in MiB. */
export function watchMemory(roots: readonly number[], everyMs = 500): { stop(): number } {
  let peak = roots.length === 0 ? 0 : memoryMib(roots)
  const sample = (): void => {
    peak = Math.max(peak, memoryMib(roots))
  }
  const timer = roots.length === 0 ? undefined : setInterval(sample, everyMs)
  return {
    stop: () => {
      clearInterval(timer)
      if (roots.length > 0) sample()
      return peak
    },
  }
}
