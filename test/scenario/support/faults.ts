// How a machine fails, made to order: system calls that return errors, no descriptors left, clocks that are set.
//
// All of it acts on the one process or folder that it is given; disposing ends the fault. The tools are Linux only,
// and `npm test` installs them as root on Debian: elsewhere `hasFaultTools` says no, and there is nothing to fail with.

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Postrider } from '../../support/postrider.ts'

/** Can this machine's system calls be made to fail? With CI=true it must be able to. */
export const hasFaultTools: boolean = process.env['CI'] === 'true' || isThere('strace', '-V')

function isThere(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Which calls fail, and how. */
export interface CallFault {
  /** Names as strace has them, with commas. */
  readonly calls: string
  /** `EIO`, `ENOSPC` and so on. */
  readonly error?: string
  /** They take so much longer. */
  readonly delayMs?: number
  /** Only on these files. */
  readonly paths?: readonly string[]
  /** The fault sets in with this call of that kind. Default 1: at once. */
  readonly fromCall?: number
}

/** Makes calls of a running process fail until it is disposed. */
export class FailingCalls implements AsyncDisposable {
  readonly #strace: ChildProcess

  private constructor(strace: ChildProcess) {
    this.#strace = strace
  }

  static async start(processId: number, fault: CallFault): Promise<FailingCalls> {
    const { calls, error, delayMs, paths = [], fromCall = 1 } = fault
    const how = error === undefined ? `delay_enter=${delayMs! * 1000}` : `error=${error}`
    const inject = `inject=${calls}:${how}:when=${fromCall}+`
    const only = paths.flatMap(path => ['-P', path])
    const args = [
      '-f',
      '-p',
      String(processId),
      '-e',
      `trace=${calls}`,
      '-e',
      inject,
      ...only,
      '-o',
      '/dev/null',
    ]
    const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    // Read to its end: strace would die of a closed pipe, and the process that it holds with it.
    let text = ''
    await new Promise<void>((resolve, reject) => {
      strace.stderr!.on('data', chunk => {
        text += String(chunk)
        if (text.includes('attached')) resolve()
      })
      strace.once('exit', () => reject(new Error(`strace: ${text}`)))
    })
    return new FailingCalls(strace)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#strace.exitCode !== null || this.#strace.signalCode !== null) return
    this.#strace.kill('SIGINT')
    await once(this.#strace, 'exit')
  }
}

/** Takes all free descriptors of a running process away until it is disposed. */
export class NoDescriptors implements Disposable {
  readonly #processId: number
  readonly #before: string

  constructor(processId: number) {
    this.#processId = processId
    const line = /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync(`/proc/${processId}/limits`, 'utf8'))
    this.#before = `${line![1]}:${line![2]}`
    const open = new Set(readdirSync(`/proc/${processId}/fd`).map(Number))
    // A new descriptor gets the lowest free number, and must be below the limit.
    let lowestFree = 0
    while (open.has(lowestFree)) lowestFree++
    this.#set(`${lowestFree}:${line![2]}`)
  }

  [Symbol.dispose](): void {
    this.#set(this.#before)
  }

  #set(limit: string): void {
    execFileSync('prlimit', ['--pid', String(this.#processId), `--nofile=${limit}`])
  }
}

/** CPU seconds that a process has used so far. */
export function cpuSeconds(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/**
 * A process that only waits must not be busy: less than half of a core over a second and a half. What went before may keep
 * it busy for a moment longer; who spins never comes to rest.
 */
export async function assertIsIdle(processId: number): Promise<void> {
  const shares: number[] = []
  while (shares.length < 6) {
    const before = cpuSeconds(processId)
    const startedMs = performance.now()
    await sleep(1500)
    const share = ((cpuSeconds(processId) - before) * 1000) / (performance.now() - startedMs)
    if (share < 0.5) return
    shares.push(Math.round(share * 100))
  }
  assert.fail(`the process used ${shares.join(', ')} % of a core while there was nothing to do`)
}

/** What /readyz says: status and text. */
export async function readiness(server: Postrider): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${server.httpPort}/readyz`)
  return { status: answer.status, text: await answer.text() }
}

/** Waits until /readyz has this status; gives its text. */
export async function waitForReadiness(server: Postrider, status: number): Promise<string> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const now = await readiness(server)
    if (now.status === status) return now.text
    if (Date.now() > endMs) throw new Error(`/readyz stayed at ${now.status}: ${now.text}`)
    await sleep(50)
  }
}

/** Log lines with this event. */
export function logged(output: string, event: string): Record<string, unknown>[] {
  return output
    .split('\n')
    .filter(line => line.includes(`"event":"${event}"`))
    .map(line => JSON.parse(line) as Record<string, unknown>)
}

/** Waits until such a line is there. */
export async function waitForLog(
  output: () => string,
  event: string,
): Promise<readonly Record<string, unknown>[]> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const lines = logged(output(), event)
    if (lines.length > 0) return lines
    if (Date.now() > endMs) throw new Error(`no ${event} in the log:\n${output()}`)
    await sleep(50)
  }
}

const fakeTimeLibraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  machine => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
)

/** A wall clock that the test sets, for one process and its threads; the monotonic clock stays real. */
export class FakeClock {
  /** With CI=true it must be. */
  static readonly isThere: boolean = process.env['CI'] === 'true' || fakeTimeLibraries.some(existsSync)
  readonly #file: string
  #offsetMs = 0

  /** @param file where the offset is kept */
  constructor(file: string) {
    this.#file = file
    this.jump(0)
  }

  /** For the process that gets this clock. */
  get env(): Record<string, string> {
    return {
      LD_PRELOAD: fakeTimeLibraries.find(existsSync)!,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** Sets the clock ahead, or back. Seen within a second. */
  jump(byMs: number): void {
    this.#offsetMs += byMs
    const seconds = this.#offsetMs / 1000
    writeFileSync(this.#file, `${seconds >= 0 ? '+' : ''}${seconds}\n`)
  }
}

/** Both clocks of a process, and its timers, run faster than ours. */
export const FastClock: { readonly isThere: boolean; env(speed: number): Record<string, string> } = {
  isThere: FakeClock.isThere,
  env: speed => ({
    LD_PRELOAD: fakeTimeLibraries.find(existsSync)!,
    FAKETIME: `+0 x${speed}`,
  }),
}
