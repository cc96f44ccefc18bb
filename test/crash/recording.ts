// Records a story: a real `postrider serve` under load, its writes and syncs watched from the very first start.
//
// One recording goes on over kills and restarts, since the page cache does: what an earlier process has not synced
// is still unsynced for the next one. At its end the model with everything applied must equal the files as they are:
// else the recorder has missed something, and nothing it says counts.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, Postrider } from '../support/postrider.ts'
import type { Random } from '../support/random.ts'
import { copyFolder, type DiskFile, type DiskFolder, DiskModel, readFolder } from './disk-model.ts'
import { Ledger, runLoad } from './load.ts'
import { keyRecordsIn } from './prefixes.ts'
import { CrashReceiver } from './receiver.ts'
import { type DiskOperation, isTraceComplete, readTrace, straceArguments } from './trace.ts'

/** How long a recorded run is. */
export interface StoryOptions {
  /** Lives of the process; each but the last two is ended by SIGKILL under load. */
  readonly lives: number
  readonly messagesPerLife: number
  readonly sessions: number
  readonly bodyBytesMax: number
  /** Put between strace and the server: `['eatmydata']` for the negative control. */
  readonly wrapper?: readonly string[]
  /** A folder with what an earlier power cut left, to begin with; else the story begins with a first run. */
  readonly base?: { readonly folder: string; readonly expected: Expected }
}

/** What must be true of a disk after a power cut. */
export interface Expected {
  /** Ids whose accepting reply had left. */
  readonly acknowledged: ReadonlySet<string>
  readonly ledger: Ledger
  /** `<id> <recipient>` of everything that the receiver took, in the end. */
  readonly arrived: ReadonlySet<string>
}

/** What was recorded. */
export interface Recording extends Omit<Expected, 'acknowledged'> {
  readonly operations: readonly DiskOperation[]
  /** The disk before the first operation. */
  readonly start: () => DiskModel
}

/** The account of the first run sends as this domain, signed. */
export const senderDomain = 'example.test'

/** Runs the story. */
export async function record(options: StoryOptions, random: Random): Promise<Recording> {
  const scratch = mkdtempSync(join(tmpdir(), 'postrider-recording-'))
  const root = join(scratch, 'root')
  mkdirSync(root)
  try {
    const { base } = options
    if (base !== undefined) cpSync(base.folder, root, { recursive: true })
    const before = readFolder(root)
    const start = (): DiskModel => new DiskModel(copyFolder(before), base?.expected.acknowledged)
    const ledger = base?.expected.ledger.copy() ?? new Ledger()
    await using receiver = await CrashReceiver.start(ledger)
    const operations: DiskOperation[] = []
    let lines = 0
    for (let life = 0; life < options.lives; life++) {
      const tracePath = join(scratch, `trace-${life}`)
      await live({ options, life, root, tracePath, receiverPort: receiver.port, ledger, random })
      const trace = readTrace(tracePath, root, lines)
      lines = trace.lines
      operations.push(...trace.operations, ...trace.cutOff.filter(one => wasDone(one, root)))
      rmSync(tracePath)
    }
    assertSame(start(), operations, root)
    const damaged = [
      ...receiver.damaged,
      ...(await ledger.prefixes.verify(() => keyRecordsIn(join(root, 'data')))),
    ]
    if (damaged.length > 0) throw new Error(`damaged on arrival: ${damaged.join('; ')}`)
    const arrived = new Set(base?.expected.arrived)
    for (const { id, to } of receiver.arrivals) for (const path of to) arrived.add(`${id} ${path}`)
    return { operations, ledger, arrived, start }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** A server without a configuration file, so that the recording begins with a first run. */
export function settings(port: number, receiverPort: number): Record<string, string> {
  return {
    POSTRIDER_HOSTNAME: 'relay.example',
    POSTRIDER_LISTENER__0__ADDRESS: `127.0.0.1:${port}`,
    POSTRIDER_LISTENER__0__KIND: 'relay',
    POSTRIDER_LISTENER__0__NETWORKS: '127.0.0.0/8',
    POSTRIDER_LISTENER__0__ACCOUNT: 'default',
    POSTRIDER_ROUTE__0__RECIPIENT_DOMAIN: '*',
    POSTRIDER_ROUTE__0__SMARTHOST: `127.0.0.1:${receiverPort}`,
    POSTRIDER_LAB__ENABLED: 'false',
    POSTRIDER_RETRY__SCHEDULE: '1s',
    // Small, so that segments are begun, sealed and deleted under load and not only over restarts.
    POSTRIDER_LIMITS__SEGMENT_SIZE: '1MiB',
    POSTRIDER_LOG__LEVEL: 'warn',
  }
}

interface Life {
  readonly options: StoryOptions
  readonly life: number
  readonly root: string
  readonly tracePath: string
  readonly receiverPort: number
  readonly ledger: Ledger
  readonly random: Random
}

async function live({ options, life, root, tracePath, receiverPort, ledger, random }: Life): Promise<void> {
  const { lives, messagesPerLife, sessions, bodyBytesMax, wrapper = [] } = options
  // Another one each time: between two lives somebody else may get the old one.
  const port = await freePort()
  const isKilled = life < lives - 2
  // Half of the kills come when a thread is about to sync: what it has written is then visible to its successor, and
  // durable is it not.
  const isKilledAtSync = isKilled && random.next() < 0.5
  const inject = `inject=fsync,fdatasync:signal=SIGKILL:when=${1 + random.below(12 + messagesPerLife)}`
  const server = await Postrider.launch({
    toml: null,
    folder: root,
    env: settings(port, receiverPort),
    wrapper: [
      'strace',
      ...straceArguments,
      ...(isKilledAtSync ? ['-e', inject] : []),
      '-o',
      tracePath,
      ...wrapper,
    ],
  })
  try {
    await server.ready()
  } catch (error) {
    if (!isKilledAtSync) throw error
  }
  const before = ledger.acknowledged.size
  const load = runLoad(
    { port, from: `ann@${senderDomain}`, sessions, messagesMax: messagesPerLife, bodyBytesMax },
    ledger,
    random,
  )
  if (isKilled) {
    const enough = isKilledAtSync ? Number.POSITIVE_INFINITY : before + random.below(messagesPerLife)
    while (ledger.acknowledged.size < enough && !(await isDone(load))) await sleep(5)
    await server.kill()
    await load
  } else {
    await load
    await server.stop()
  }
  for (let waits = 0; !isTraceComplete(tracePath); waits++) {
    if (waits > 600) throw new Error('strace did not finish its trace')
    await sleep(50)
  }
}

async function isDone(work: Promise<void>): Promise<boolean> {
  return await Promise.race([work.then(() => true), sleep(0, false)])
}

/** A write that the kill cut off was done when its bytes are in the file. */
function wasDone(operation: DiskOperation, root: string): boolean {
  if (operation.kind !== 'write') return operation.kind !== 'sync' && operation.kind !== 'reply'
  const path = join(root, operation.path)
  if (!existsSync(path)) return false
  const bytes = readFileSync(path)
  const { offset, data } = operation
  return bytes.subarray(offset, offset + data.length).equals(data)
}

/** Throws when the model differs from the files. */
function assertSame(model: DiskModel, operations: readonly DiskOperation[], root: string): void {
  for (const operation of operations) model.play(operation)
  compare(model.root, root, '')
}

function compare(folder: DiskFolder, path: string, shown: string): void {
  const found = readdirSync(path).filter(name => !name.endsWith('-shm') && isKept(join(path, name)))
  const wanted = [...folder.current.keys()]
  if (found.sort().join() !== wanted.sort().join())
    throw new Error(`the recording of ${shown}/ is wrong: ${wanted} instead of ${found}`)
  for (const [name, node] of folder.current) {
    if (node.kind === 'folder') compare(node, join(path, name), `${shown}/${name}`)
    else if (!currentBytes(node).equals(readFileSync(join(path, name))))
      throw new Error(`the recording of ${shown}/${name} is wrong`)
  }
}

/** Sockets are made anew at each start and are no state. */
function isKept(path: string): boolean {
  const status = statSync(path)
  return status.isFile() || status.isDirectory()
}

function currentBytes(file: DiskFile): Buffer {
  let bytes = Buffer.from(file.durable)
  for (const one of file.pending)
    if (one.kind === 'truncate') {
      const cut = Buffer.alloc(one.sizeBytes)
      bytes.copy(cut)
      bytes = cut
    } else {
      const end = one.offset + one.data.length
      if (end > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(end - bytes.length)])
      one.data.copy(bytes, one.offset)
    }
  return bytes
}
