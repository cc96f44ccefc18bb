/**
 * Fills the queue of a data folder that no server uses, through the store's own port and in bulk: accepted, attempted
 * once, deferred, with all events, rows and reasons that a server leaves. Run as a child, so that its memory is nobody's.
 * While one batch is being committed the next one is made: both cores work.
 *
 * `node bench/queue/fill.ts DATA_DIR RECIPIENTS DOMAINS SPREAD_MINUTES BODY_BYTES`; progress, a number a line, on
 * standard output.
 */
import type { NewMessage } from '../../src/queue/index.ts'
import { openThreadStore, startStoreThread } from '../../src/store/index.ts'
import { deferredOutcome, storedMessage } from '../stored-message.ts'
import { domainName } from '../traffic/dns.ts'

const batchSize = 2_000
const batchesUnderWay = 2
const progressEvery = 500_000

const [dataDir = '', recipients = 0, domains = 1, spreadMinutes = 240, bodyBytes = 1024] = process.argv
  .slice(2)
  .map((text, index) => (index === 0 ? text : Number(text))) as [string, number, number, number, number]

const body = Buffer.from(`${'X'.repeat(78)}\r\n`.repeat(Math.max(1, Math.floor(bodyBytes / 80))))
const content = { kind: 'inline', parts: [body], sizeBytes: body.length } as const
const prefix = Buffer.from(
  'Received: from client.example.com by bench.test; Mon, 23 Nov 2026 10:00:00 +0000\r\n',
)

await using host = await startStoreThread({ dataDir, node: 1, nowMs: Date.now() })
await using store = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => Date.now() })
const account = store.accounts.accountByName('bench')
const stream = account === null ? null : store.accounts.defaultStream(account.key)
if (account === null || stream === null) throw new Error(`${dataDir} has no account "bench"`)
const owner = { accountKey: account.key, streamKey: stream.key }

let next = 0
let filled = 0

async function fillBatches(): Promise<void> {
  while (next < recipients) {
    const first = next
    const count = Math.min(batchSize, recipients - first)
    next += count
    const batch = Array.from({ length: count }, (_, index) => newMessage(first + index))
    const stored = await Promise.all(batch.map(message => store.queue.accept(message)))
    const settlements = batch.map((message, index) => {
      const result = stored[index]!
      if (result.kind !== 'stored') throw new Error(result.why)
      return deferredOutcome(message, result.key, dueAtMs())
    })
    await store.queue.settle({ settlements, giveBacks: [], messages: [], events: [] })
    const before = filled
    filled += count
    if (Math.floor(before / progressEvery) < Math.floor(filled / progressEvery))
      process.stdout.write(`${filled}\n`)
  }
}

await Promise.all(Array.from({ length: batchesUnderWay }, fillBatches))

function newMessage(number: number): NewMessage {
  const domain = domainName(number % domains)
  return storedMessage({ ...owner, localPart: String(number), domain, prefix, content })
}

/** Evenly over the time in which retries are spread; the first ones not before the bench has had its look at what waits. */
function dueAtMs(): number {
  return Date.now() + Math.floor((60 + Math.random() * spreadMinutes) * 60_000)
}
