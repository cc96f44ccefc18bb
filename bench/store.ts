// How fast is the store alone? Messages of 4 KiB through the threaded client, 200 in flight, accept then settle.
//
// Prints the rate and the store thread's CPU a message. Contents above `inlineMaxBytes` go through segment files; the last
// argument forces either way. Run by hand: node bench/store.ts [messages] [in flight] [bytes] [inline|segments].

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NewContent, NewMessage, Settlement } from '../src/queue/index.ts'
import { inlineMaxBytes, openThreadStore, startStoreThread } from '../src/store/index.ts'
import { deliveredOutcome, storedMessage } from './stored-message.ts'

const total = Number(process.argv[2] ?? 100_000)
const inFlight = Number(process.argv[3] ?? 200)
const contentBytes = Number(process.argv[4] ?? 4096)

const isInline = (process.argv[5] ?? (contentBytes <= inlineMaxBytes ? 'inline' : 'segments')) === 'inline'

const dataDir = mkdtempSync(join(tmpdir(), 'postrider-bench-store-'))
const body = Buffer.alloc(contentBytes, 'x')
const inline: NewContent = { kind: 'inline', parts: [body], sizeBytes: body.length }
const prefix = Buffer.alloc(600, 'p')

async function spooled(): Promise<NewContent> {
  const content = store.spool.begin()
  for (let at = 0; at < body.length; at += 65_536) await content.write(body.subarray(at, at + 65_536))
  return { kind: 'segments', ...(await content.finish()) }
}

function newMessage(content: NewContent): NewMessage {
  const owner = { accountKey: 1, streamKey: 1 }
  return storedMessage({ ...owner, localPart: 'user', domain: 'example.net', prefix, content })
}

const host = await startStoreThread({ dataDir, node: 1, nowMs: Date.now() })
const store = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => Date.now() })
const cpuBefore = await store.storeCpu()
const ownBefore = process.threadCpuUsage()
const started = performance.now()
let left = total
let toSettle: Settlement[] = []
let waiters: (() => void)[] = []

/** Settles what was delivered during one turn together, as delivery does. */
function settleSoon(settlement: Settlement): Promise<void> {
  if (toSettle.length === 0)
    setImmediate(() => {
      const settlements = toSettle
      const done = waiters
      toSettle = []
      waiters = []
      store.queue.settle({ settlements, giveBacks: [], messages: [], events: [] }).then(() => {
        for (const each of done) each()
      })
    })
  toSettle.push(settlement)
  return new Promise(resolve => waiters.push(resolve))
}

const acceptMs: number[] = []
async function client(): Promise<void> {
  while (left-- > 0) {
    const content = isInline ? inline : await spooled()
    const message = newMessage(content)
    const at = performance.now()
    const result = await store.queue.accept(message)
    acceptMs.push(performance.now() - at)
    if (result.kind !== 'stored') throw new Error(result.why)
    await settleSoon(deliveredOutcome(message, result.key))
  }
}
await Promise.all(Array.from({ length: inFlight }, client))
const seconds = (performance.now() - started) / 1000
const cpuAfter = await store.storeCpu()
const own = process.threadCpuUsage(ownBefore)
const us = (value: number): string => (value / total).toFixed(1)
acceptMs.sort((a, b) => a - b)
const user = cpuAfter.user - cpuBefore.user
const system = cpuAfter.system - cpuBefore.system
console.log(
  `${total} messages of ${contentBytes} bytes ${isInline ? 'inline' : 'in segments'}, ${inFlight} in flight: ${Math.round(total / seconds)} a second; ` +
    `store thread ${us(user + system)} µs a message (user ${us(user)}, system ${us(system)}); ` +
    `client thread ${us(own.user + own.system)} µs; accept p50 ${acceptMs[Math.floor(total / 2)]!.toFixed(1)} ms, ` +
    `p99 ${acceptMs[Math.floor(total * 0.99)]!.toFixed(1)} ms; ` +
    `database ${(statSync(join(dataDir, 'postrider.db')).size / 1048576).toFixed(0)} MiB, ` +
    `WAL ${(statSync(join(dataDir, 'postrider.db-wal')).size / 1048576).toFixed(0)} MiB`,
)
await store[Symbol.asyncDispose]()
await host.close()
rmSync(dataDir, { recursive: true })
