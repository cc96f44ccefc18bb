// Reads what strace wrote about a process: each file operation below one folder and each accepting reply, in order.
//
// strace prints a call when it returns, or in two halves when another thread's call came between; both moments are kept,
// since a sync covers only what had returned before it began. Threads that wait for each other are stopped by strace in
// between, so cause comes before effect in its output. Data is printed as \xNN throughout (-xx), paths too.
//
// The plan: 1. walk the lines; 2. join halves; 3. turn each call that succeeded into an operation on a path.

import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Where in the trace an operation began and ended (line numbers, counted over all traces of a recording). */
interface When {
  readonly begunAt: number
  readonly endedAt: number
}

/** One operation. Paths are relative to the watched folder; '' is the folder itself. */
export type DiskOperation = When &
  (
    | { readonly kind: 'create'; readonly path: string }
    | { readonly kind: 'write'; readonly path: string; readonly offset: number; readonly data: Buffer }
    | { readonly kind: 'truncate'; readonly path: string; readonly sizeBytes: number }
    | { readonly kind: 'sync'; readonly path: string }
    | { readonly kind: 'mkdir'; readonly path: string }
    | { readonly kind: 'unlink'; readonly path: string }
    | { readonly kind: 'rename'; readonly path: string; readonly to: string }
    /** An accepting reply was about to leave: what it names must be durable now. */
    | { readonly kind: 'reply'; readonly ids: readonly string[] }
  )

/** What strace is told; `-o FILE` and the command follow. */
export const straceArguments: readonly string[] = [
  '-D',
  '-f',
  '--seccomp-bpf',
  '-y',
  '-xx',
  ...['-s', '8000000'],
  ...[
    '-e',
    'trace=openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,syncfs,sync,ftruncate,truncate,' +
      'rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,fallocate,copy_file_range',
  ],
]

/** True when the trace is complete: strace writes the end of the last thread, the process itself, when it is done. */
export function isTraceComplete(path: string): boolean {
  const tail = Buffer.alloc(200)
  const descriptor = openSync(path, 'r')
  readSync(descriptor, tail, 0, 200, Math.max(0, fstatSync(descriptor).size - 200))
  closeSync(descriptor)
  return /\+\+\+ (?:exited with \d+|killed by \w+) \+\+\+[\s\0]*$/.test(tail.toString('latin1'))
}

/** Reads a trace. @param root the watched folder. @param firstLine number of its first line in the recording. */
export function readTrace(path: string, root: string, firstLine: number = 0): Trace {
  const trace = new Trace(root, firstLine)
  const bytes = readFileSync(path)
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(10, at)
    trace.line(bytes.subarray(at, end < 0 ? bytes.length : end))
    at = end < 0 ? bytes.length : end + 1
  }
  return trace
}

/** A call as it stands in the trace, before its result is known. */
interface Begun {
  readonly at: number
  readonly text: Buffer
}

const unfinished = Buffer.from(' <unfinished ...>')
const quote = 34

/** What a trace holds. */
export class Trace {
  readonly operations: DiskOperation[] = []
  /** Writes that had begun when the process was killed: nobody knows whether they were done. */
  readonly cutOff: DiskOperation[] = []
  lines: number
  readonly #root: string
  readonly #begun = new Map<string, Begun>()
  /** Offset of the next write() by file descriptor. */
  readonly #offsets = new Map<string, number>()

  constructor(root: string, firstLine: number) {
    this.#root = root
    this.lines = firstLine
  }

  line(line: Buffer): void {
    const at = this.lines++
    const space = line.indexOf(32)
    const thread = line.toString('latin1', 0, space)
    let text = line.subarray(space)
    while (text[0] === 32) text = text.subarray(1)
    const head = text.toString('latin1', 0, 60)
    if (head.startsWith('+++') || head.startsWith('---')) {
      const cut = this.#begun.get(thread)
      this.#begun.delete(thread)
      if (cut !== undefined && head.startsWith('+++ killed')) this.#take(cut.text, cut.at, at, true)
      return
    }
    if (text.subarray(-unfinished.length).equals(unfinished)) {
      this.#begun.set(thread, { at, text: text.subarray(0, -unfinished.length) })
      return
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(head)?.[0]
    if (resumed === undefined) {
      this.#take(text, at, at, false)
      return
    }
    const begun = this.#begun.get(thread)
    this.#begun.delete(thread)
    if (begun !== undefined)
      this.#take(Buffer.concat([begun.text, text.subarray(resumed.length)]), begun.at, at, false)
  }

  #take(text: Buffer, begunAt: number, endedAt: number, isCutOff: boolean): void {
    const tail = text.toString('latin1', Math.max(0, text.length - 20))
    const isNeverEnded = isCutOff || /\) += \?\s*$/.test(tail)
    const result = isNeverEnded ? 0 : resultOf(text)
    if (result === null || result < 0) return
    const operation = this.#operation(text, result, isNeverEnded)
    if (operation === null) return
    const whole = { ...operation, begunAt, endedAt } as DiskOperation
    if (isNeverEnded) this.cutOff.push(whole)
    else this.operations.push(whole)
  }

  #operation(text: Buffer, result: number, isCutOff: boolean): object | null {
    const name = /^\w+/.exec(text.toString('latin1', 0, 20))?.[0] ?? ''
    switch (name) {
      case 'write':
      case 'writev':
      case 'pwrite64':
      case 'pwritev':
      case 'pwritev2':
        return this.#write(name, text, result, isCutOff)
      case 'fsync':
      case 'fdatasync':
        return this.#onDescriptor(text, path => ({ kind: 'sync', path }))
      case 'ftruncate':
        return this.#onDescriptor(text, path => {
          const sizeBytes = Number(/, (\d+)\)/.exec(text.toString('latin1'))?.[1])
          return { kind: 'truncate', path, sizeBytes }
        })
      case 'openat':
      case 'open':
      case 'creat':
        return this.#open(text, result)
      case 'unlink':
      case 'unlinkat':
      case 'rmdir':
        return this.#named(text, path => ({ kind: 'unlink', path }))
      case 'mkdir':
      case 'mkdirat':
        return this.#named(text, path => ({ kind: 'mkdir', path }))
      case 'rename':
      case 'renameat':
      case 'renameat2':
        return this.#named(text, (path, to) => ({ kind: 'rename', path, to }))
      default:
        // link, fallocate and the like: nothing of ours uses them; when that changes this must be told.
        return this.#named(text, () => {
          throw new Error(`the recorder does not know ${name}: ${text.toString('latin1', 0, 200)}`)
        })
    }
  }

  #write(name: string, text: Buffer, result: number, isCutOff: boolean): object | null {
    const { number, path } = descriptorOf(text)
    const inside = this.#inside(path)
    if (inside === null || inside === '') return path.startsWith('socket:') ? replyOf(text) : null
    const data = Buffer.concat(stringsOf(text))
    const whole = isCutOff ? data : data.subarray(0, result)
    let offset: number
    if (name.startsWith('p')) {
      const tail = text.toString('latin1', text.lastIndexOf(name === 'pwrite64' ? '"' : ']'))
      offset = Number(tail.split(',')[2]?.replace(/\).*$/, '') ?? Number.NaN)
    } else {
      offset = this.#offsets.get(number) ?? Number.NaN
      this.#offsets.set(number, offset + whole.length)
    }
    if (!Number.isSafeInteger(offset)) throw new Error(`no offset in ${text.toString('latin1', 0, 100)}`)
    return { kind: 'write', path: inside, offset, data: whole }
  }

  #open(text: Buffer, result: number): object | null {
    const from = text.lastIndexOf('"')
    const flags = text.toString('latin1', from)
    if (!/O_CREAT|O_TRUNC|O_WRONLY|O_RDWR/.test(flags)) return null
    return this.#named(text, path => {
      if (flags.includes('O_APPEND')) throw new Error(`the recorder does not know appending: ${path}`)
      this.#offsets.set(String(result), 0)
      // Whether it was there already the model knows; creating what exists changes nothing.
      if (flags.includes('O_EXCL')) return { kind: 'create', path }
      if (flags.includes('O_TRUNC')) return { kind: 'truncate', path, sizeBytes: 0 }
      return flags.includes('O_CREAT') ? { kind: 'create', path } : null
    })
  }

  #onDescriptor(text: Buffer, make: (path: string) => object): object | null {
    const inside = this.#inside(descriptorOf(text).path)
    return inside === null ? null : make(inside)
  }

  #named(text: Buffer, make: (path: string, to: string) => object | null): object | null {
    const folder = /AT_FDCWD<([^>]*)>/.exec(text.toString('latin1', 0, 600))?.[1]
    const paths = stringsOf(text).map(one =>
      resolve(folder === undefined ? '/' : decode(Buffer.from(folder, 'latin1')).toString(), one.toString()),
    )
    const inside = paths.map(path => this.#inside(path))
    return inside[0] === undefined || inside[0] === null ? null : make(inside[0], inside[1] ?? '')
  }

  /** Relative to the root; null outside of it. What SQLite shares by mmap is no durable state. */
  #inside(path: string): string | null {
    if (path === this.#root) return ''
    if (!path.startsWith(join(this.#root, '/')) || path.endsWith('-shm')) return null
    return path.endsWith(' (deleted)') ? null : path.slice(this.#root.length + 1)
  }
}

function resultOf(text: Buffer): number | null {
  const tail = text.toString('latin1', Math.max(0, text.length - 600))
  const result = /\) += (-?\d+)(?![^"]*")/.exec(tail)?.[1]
  return result === undefined ? null : Number(result)
}

function descriptorOf(text: Buffer): { number: string; path: string } {
  const [, number = '', path = ''] = /^\w+\((\d+)<([^>]*)>/.exec(text.toString('latin1', 0, 4000)) ?? []
  return { number, path: decode(Buffer.from(path, 'latin1')).toString('latin1') }
}

/** The ids in an accepting reply (several when replies left together). */
function replyOf(text: Buffer): object | null {
  if (text.length > 40_000) return null
  const said = Buffer.concat(stringsOf(text)).toString('latin1')
  const ids = [...said.matchAll(/250 2\.0\.0 Queued as (msg_[a-z2-7]{26})\r\n/g)].map(match => match[1]!)
  return ids.length === 0 ? null : { kind: 'reply', ids }
}

/** The strings between quotes. Inside of them nothing but \xNN stands. */
function stringsOf(text: Buffer): Buffer[] {
  const strings: Buffer[] = []
  for (let at = text.indexOf(quote); at >= 0; ) {
    const end = text.indexOf(quote, at + 1)
    if (end < 0) break
    strings.push(decode(text.subarray(at + 1, end)))
    at = text.indexOf(quote, end + 1)
  }
  return strings
}

/** `\x41\x42` → `AB`; text without escapes stays. */
function decode(text: Buffer): Buffer {
  if (text[0] !== 92) return Buffer.from(text)
  const bytes = Buffer.allocUnsafe(text.length >> 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (nibble(text[i * 4 + 2]!) << 4) | nibble(text[i * 4 + 3]!)
  return bytes
}

function nibble(code: number): number {
  return code < 58 ? code - 48 : code - 87
}
