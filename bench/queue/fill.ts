/**
 * Fills the queue of a data folder that no server uses, through the store's own port and in bulk: accepted, attempted
 * once, deferred, with all events, rows and reasons that a server leaves. Run as a child, so that its memory is nobody's.
 *
 * `node bench/queue/fill.ts DATA_DIR RECIPIENTS DOMAINS SPREAD_MINUTES BODY_BYTES`
 */
import { randomBytes } from 'node:crypto'
import { IdGenerator } from '../../src/base/index.ts'
import { type Outcome, packAccepted, packOutcome, packOutcomeFacts } from '../../src/events/index.ts'
import type { NewMessage, Settlement } from '../../src/queue/index.ts'
import { openThreadStore, startStoreThread } from '../../src/store/index.ts'
import { domainName } from '../traffic/dns.ts'

const batchSize = 2_000
const dayMs = 86_400_000

const [dataDir = '', recipients = 0, domains = 1, spreadMinutes = 240, bodyBytes = 1024] = process.argv
  .slice(2)
  .map((text, index) => (index === 0 ? text : Number(text))) as [string, number, number, number, number]

const ids = new IdGenerator(() => Date.now(), randomBytes)
const body = Buffer.from(`${'X'.repeat(78)}\r\n`.repeat(Math.max(1, Math.floor(bodyBytes / 80))))
const prefix = Buffer.from(
  'Received: from client.example.com by bench.test; Mon, 23 Nov 2026 10:00:00 +0000\r\n',
)

await using host = await startStoreThread({ dataDir, node: 1, nowMs: Date.now() })
await using store = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => Date.now() })
const account = store.accounts.accountByName('bench')
const stream = account === null ? null : store.accounts.defaultStream(account.key)
if (account === null || stream === null) throw new Error(`${dataDir} has no account "bench"`)

for (let first = 0; first < recipients; first += batchSize) {
  const batch = Array.from({ length: Math.min(batchSize, recipients - first) }, (_, index) =>
    newMessage(first + index),
  )
  const stored = await Promise.all(batch.map(message => store.queue.accept(message)))
  const settlements = batch.map((message, index) => {
    const result = stored[index]!
    if (result.kind !== 'stored') throw new Error(result.why)
    return deferred(message, result.key)
  })
  await store.queue.settle({ settlements, giveBacks: [], messages: [], events: [] })
}

function newMessage(number: number): NewMessage {
  const nowMs = Date.now()
  const domain = domainName(number % domains)
  const forwardPath = `${number}@${domain}`
  return {
    id: ids.next(),
    accountKey: account!.key,
    streamKey: stream!.key,
    reversePath: 'sender@example.com',
    sentReversePath: 'sender@example.com',
    isEightBit: false,
    isSmtpUtf8: false,
    ret: '',
    envelopeId: '',
    acceptedAtMs: nowMs,
    expiresAtMs: nowMs + 5 * dayMs,
    priority: 5,
    sendsDsn: false,
    prefix,
    sizeBytes: prefix.length + body.length,
    content: { kind: 'inline', parts: [body], sizeBytes: body.length },
    recipients: [{ number: 0, forwardPath, domain, notify: 8, originalRecipient: '' }],
    startState: 'leased',
    firstAttemptAtMs: 0,
    acceptedFacts: packAccepted({
      reversePath: 'sender@example.com',
      forwardPaths: [forwardPath],
      sizeBytes: body.length,
      clientAddress: '127.0.0.1:4711',
      helloName: 'client.example.com',
      door: 'smtp',
      username: '',
      headerMessageId: `<${number}@example.com>`,
      signedBy: [],
      tls: '',
    }),
  }
}

function deferred(message: NewMessage, messageKey: number): Settlement {
  const atMs = Date.now()
  const { forwardPath } = message.recipients[0]!
  const outcome: Outcome = {
    kind: 'deferred',
    code: 0,
    enhancedCode: '4.4.1',
    text: 'connect: connection refused',
    remoteHost: 'customer.mail.protection.outlook.com',
    remoteAddress: '127.0.8.1:25',
    stage: 'connect',
    tls: '',
    category: 'network',
    scope: 'domain',
    source: 'local',
    atMs,
    isUncertain: false,
  }
  const nextAttemptAtMs = atMs + Math.floor((0.02 + 0.98 * Math.random()) * spreadMinutes * 60_000)
  return {
    messageKey,
    messageId: message.id,
    recipientNumber: 0,
    recipientCount: 1,
    accountKey: message.accountKey,
    streamKey: message.streamKey,
    attempts: 1,
    eventType: 'deferred',
    atMs,
    nextAttemptAtMs,
    reason: 'site-unreachable',
    lastOutcome: packOutcome(outcome),
    isDelayNotified: false,
    facts: packOutcomeFacts({ forwardPath, attempt: 1, nextAttemptAtMs, conversation: [], outcome }),
  }
}
