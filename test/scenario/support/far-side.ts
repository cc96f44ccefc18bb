// A far side that can vanish without a word: no FIN, no RST, no ICMP comes from it, and nothing that is sent arrives.
//
// `behindCable` gives it a network namespace of its own, joined to ours by a pair of virtual interfaces; cutting takes
// the far one down, which is what a pulled cable or a forgotten NAT entry looks like from here. `asProgram` is for
// machines without namespaces, and a situation of its own: a process that is stopped, whose kernel goes on answering
// for it. Namespace, interfaces and program are all gone with the program, which ends when this process does.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SilentPoint } from './receiver.ts'

/** Where a client can stand: after the greeting, in a command, and so on; deaf: it does not read its replies. */
export type Post = 'greeted' | 'command' | 'handshake' | 'login' | 'data' | 'bdat' | 'deaf'

/** Where the clients of the far side go. */
export interface Doors {
  readonly host: string
  /** The address that they come from. */
  readonly from: string
  readonly relay: number
  readonly submissions: number
  readonly username: string
  readonly secret: string
}

export type FarOrder =
  | { readonly listen: string }
  | { readonly stand: { readonly doors: Doors; readonly each: number } }
  | { readonly speak: true }

export type FarReport =
  | { readonly isThere: true }
  | { readonly ports: Readonly<Record<string, number>> }
  | { readonly stands: Partial<Record<Post, number>> }
  | { readonly fell: SilentPoint; readonly to: readonly string[] }
  | { readonly taken: readonly string[] }
  | { readonly failed: string }

/** How it comes and goes. */
interface Way {
  readonly near: string
  readonly far: string
  readonly wrapper: readonly string[]
  readonly join: (processId: number) => void
  readonly cut: (processId: number) => void
  readonly mend: (processId: number) => void
}

/** See the head of the file. */
export class FarSide implements AsyncDisposable {
  readonly #program: ChildProcess
  readonly #way: Way
  readonly #reports: FarReport[] = []
  #wake: () => void = () => {}

  private constructor(way: Way) {
    this.#way = way
    const command = [...way.wrapper, process.execPath, new URL('far-program.ts', import.meta.url).pathname]
    this.#program = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#program.stdout! }).on('line', line => {
      this.#reports.push(JSON.parse(line) as FarReport)
      this.#wake()
    })
    this.#program.once('exit', code => {
      this.#reports.push({ failed: `the far side ended with ${code}` })
      this.#wake()
    })
  }

  static behindCable(): Promise<FarSide> {
    return FarSide.#start(cable())
  }

  static asProgram(): Promise<FarSide> {
    return FarSide.#start({
      near: '127.0.0.1',
      far: '127.77.0.1',
      wrapper: [],
      join: () => {},
      cut: processId => process.kill(processId, 'SIGSTOP'),
      mend: processId => process.kill(processId, 'SIGCONT'),
    })
  }

  /** May we make networks here? With CI=true we must. */
  static get hasCables(): boolean {
    if (process.env['CI'] === 'true') return true
    try {
      execFileSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }

  /** Our address as it sees it. */
  get near(): string {
    return this.#way.near
  }

  /** Its address. */
  get far(): string {
    return this.#way.far
  }

  order(order: FarOrder): void {
    this.#program.stdin!.write(`${JSON.stringify(order)}\n`)
  }

  /** From now on nothing comes from there, and nothing arrives. */
  cut(): void {
    this.#way.cut(this.#program.pid!)
  }

  mend(): void {
    this.#way.mend(this.#program.pid!)
  }

  /** Everything that it has reported of a kind. */
  reports<Key extends string>(key: Key): Extract<FarReport, Record<Key, unknown>>[] {
    return this.#reports.filter((one): one is Extract<FarReport, Record<Key, unknown>> => key in one)
  }

  /** Waits until there are so many reports of a kind; gives the last. */
  async reported<Key extends string>(
    key: Key,
    count: number = 1,
    timeoutMs: number = 60_000,
  ): Promise<Extract<FarReport, Record<Key, unknown>>> {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      const [failure] = this.reports('failed')
      if (failure !== undefined) throw new Error(failure.failed)
      const having = this.reports(key)
      if (having.length >= count) return having.at(-1)!
      if (performance.now() > endMs) throw new Error(`${having.length} of ${count} reports "${key}" came`)
      await Promise.race([new Promise<void>(resolve => (this.#wake = resolve)), sleep(1000)])
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#program.exitCode !== null || this.#program.signalCode !== null) return
    const ended = new Promise(resolve => this.#program.once('exit', resolve))
    this.#program.kill('SIGKILL')
    await ended
  }

  static async #start(way: Way): Promise<FarSide> {
    const side = new FarSide(way)
    try {
      await side.reported('isThere')
      way.join(side.#program.pid!)
      return side
    } catch (error) {
      await side[Symbol.asyncDispose]()
      throw new Error(`no far side of our own (it needs root, unshare and ip): ${error}`)
    }
  }
}

const farHardware = '02:00:00:00:00:02'

/** Interfaces named and numbered after this process, in the addresses that are set aside for tests of networks. */
function cable(): Way {
  const block = process.pid % 16_384
  const [near, far] = [1, 2].map(host => `198.18.${block >> 6}.${(block & 63) * 4 + host}`) as [
    string,
    string,
  ]
  const [nearEnd, farEnd] = [`pr${process.pid}n`, `pr${process.pid}f`]
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args)
  const farIp = (processId: number, ...args: readonly string[]): void =>
    void execFileSync('nsenter', [`--target=${processId}`, '--net', 'ip', ...args])
  return {
    near,
    far,
    wrapper: ['unshare', '--net'],
    join: processId => {
      ip('link', 'add', nearEnd, 'type', 'veth', 'peer', 'name', farEnd, 'netns', String(processId))
      ip('address', 'add', `${near}/30`, 'dev', nearEnd)
      ip('link', 'set', nearEnd, 'up')
      // Where the far end is needs not be asked: a packet to it is lost without an error, as behind a router.
      ip('neighbour', 'add', far, 'lladdr', farHardware, 'dev', nearEnd, 'nud', 'permanent')
      farIp(processId, 'link', 'set', farEnd, 'address', farHardware)
      farIp(processId, 'address', 'add', `${far}/30`, 'dev', farEnd)
      farIp(processId, 'link', 'set', farEnd, 'up')
    },
    cut: processId => farIp(processId, 'link', 'set', farEnd, 'down'),
    mend: processId => farIp(processId, 'link', 'set', farEnd, 'up'),
  }
}
