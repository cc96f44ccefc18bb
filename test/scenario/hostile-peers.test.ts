// Situation: the servers that we deliver to are hostile (the row "hostile MX" of the resource-exhaustion table): replies
// without end, giant or byte by byte, TLS that never comes to an end, a peer that reads nothing of what we send.
//
// All of them are delivered to at the same time, six messages each, with deadlines shortened by configuration. Every
// message must come back from its attempt with a reason that is true, its connection must be gone, memory must stay
// bounded, and ordinary mail must go on.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { makeCertificate } from '../../src/protocol/smtp/client/testing/certificates.ts'
import {
  acceptRawTls,
  handshakeTypes,
  message as tlsMessage,
} from '../../src/protocol/smtp/testing/tls-records.ts'
import { queuedId } from './support/client.ts'
import { HostileDialogue } from './support/hostile-dialogue.ts'
import { message, type ShownEvent, waitForEvents } from './support/house.ts'
import { describe, Siege } from './support/siege.ts'

const mebibyte = 1024 * 1024
/** Of every stage. */
const deadlineMs = 2000
/** Deadlines are looked at once a second. */
const coarseMs = 1000
/** For a busy machine, on which all of this goes on at the same time. */
const slackMs = 6000
const noBytes = Buffer.alloc(0)
const certificate = makeCertificate('hostile.example')

interface Hostile {
  readonly name: string
  readonly run: (peer: HostileDialogue) => Promise<unknown>
  /** What the outcome must say. */
  readonly text: RegExp
  readonly stage: string
  /** The deadlines of the stages in which it stalls, together; 0 when it is found out at once. */
  readonly stallsMs: number
  /** Larger than a mebibyte: only where the peer does not read it. */
  readonly isLarge?: boolean
}

const lines = '250-X'.concat('y'.repeat(90), '\r\n').repeat(500)
const long = 'z'.repeat(65_536)

const hostiles: readonly Hostile[] = [
  {
    name: 'a greeting that never comes',
    run: peer => peer.silence(),
    stage: 'greeting',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
  },
  {
    name: 'a greeting byte by byte',
    run: peer => peer.drip('220-slow '),
    stage: 'greeting',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
  },
  {
    name: 'a greeting of endless lines',
    run: peer => peer.flood('220-hello\r\n'.repeat(5000)),
    stage: 'greeting',
    stallsMs: 0,
    text: /more lines than we read/,
  },
  {
    name: 'a greeting line without end',
    run: peer => peer.flood(long),
    stage: 'greeting',
    stallsMs: 0,
    text: /longer reply than we read/,
  },
  {
    name: 'a greeting that is no SMTP',
    run: peer => peer.flood('HTTP/1.1 200 OK\r\n'),
    stage: 'greeting',
    stallsMs: 0,
    text: /not an SMTP reply/,
  },
  {
    name: 'endless EHLO keywords',
    run: async peer => {
      peer.say('220 hi\r\n')
      await peer.line('EHLO')
      await peer.flood(lines)
    },
    stage: 'ehlo',
    stallsMs: 0,
    text: /more lines than we read|longer reply than we read/,
  },
  {
    name: '10,000 EHLO keywords',
    run: async peer => {
      peer.say('220 hi\r\n')
      await peer.line('EHLO')
      peer.say(`${'250-SIZE\r\n'.repeat(10_000)}250 PIPELINING\r\n`)
      await peer.silence()
    },
    stage: 'ehlo',
    stallsMs: 0,
    text: /more lines than we read/,
  },
  {
    name: 'an EHLO reply of 1 MiB in one line',
    run: async peer => {
      peer.say('220 hi\r\n')
      await peer.line('EHLO')
      peer.say(`250 ${'k'.repeat(mebibyte)}\r\n`)
      await peer.silence()
    },
    stage: 'ehlo',
    stallsMs: 0,
    text: /longer reply than we read/,
  },
  {
    name: 'EHLO keywords byte by byte',
    run: async peer => {
      peer.say('220 hi\r\n')
      await peer.line('EHLO')
      await peer.drip('250-SIZE\r\n')
    },
    stage: 'ehlo',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
  },
  {
    name: 'STARTTLS answered and then silence',
    run: async peer => {
      await peer.hello('250-STARTTLS\r\n')
      await peer.line('STARTTLS')
      peer.say('220 go\r\n')
      await peer.silence()
    },
    stage: 'starttls',
    stallsMs: deadlineMs,
    text: /did not answer in time|TLS/,
  },
  {
    name: 'TLS byte by byte',
    run: async peer => {
      await peer.hello('250-STARTTLS\r\n')
      await peer.line('STARTTLS')
      peer.say('220 go\r\n')
      await sleep(100)
      await peer.drip('\x16\x03\x03\x40\x00\x02\x00\x3f\xfc')
    },
    stage: 'starttls',
    stallsMs: deadlineMs,
    text: /did not answer in time|TLS/,
  },
  {
    name: 'a chain of 1,000 certificates',
    run: async peer => {
      await peer.hello('250-STARTTLS\r\n')
      await peer.line('STARTTLS')
      peer.socket.removeAllListeners('data')
      peer.say('220 go\r\n')
      const options = { key: certificate.key, cert: certificate.cert.repeat(1000), isServer: true }
      const secure = new tls.TLSSocket(peer.socket, options)
      secure.on('error', () => undefined)
      await peer.silence()
    },
    stage: 'starttls',
    stallsMs: 0,
    text: /excessive message size|TLS|certificate/i,
  },
  {
    name: 'TLS 1.2 that asks to negotiate again without end',
    run: async peer => {
      await peer.hello('250-STARTTLS\r\n')
      await peer.line('STARTTLS')
      peer.socket.removeAllListeners('data')
      peer.say('220 go\r\n')
      const { socket, sealer } = await acceptRawTls(peer.socket, certificate, 'TLSv1.2')
      const request = (): Buffer => sealer.seal('handshake', tlsMessage(handshakeTypes.helloRequest, noBytes))
      while (!socket.destroyed && socket.writable) {
        for (let i = 0; i < 50; i++) socket.write(request())
        await new Promise(resolve => setImmediate(resolve))
      }
    },
    stage: 'ehlo',
    stallsMs: 0,
    text: /asked to negotiate/,
  },
  {
    name: 'a reply to MAIL byte by byte',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      await peer.drip('250-one moment\r\n')
    },
    stage: 'mail',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
  },
  {
    name: 'an endless reply to RCPT',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      peer.say('250 ok\r\n')
      await peer.line('RCPT')
      await peer.flood(lines)
    },
    stage: 'mail',
    stallsMs: 0,
    text: /lines than we read|longer reply than we read/,
  },
  {
    name: 'replies to commands that were never sent',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      await peer.flood('250 ok\r\n'.repeat(5000))
    },
    stage: 'data',
    stallsMs: 0,
    text: /which is not an answer there|without being asked/,
  },
  {
    name: 'a peer that reads nothing of a content of 8 MiB',
    run: async peer => {
      await peer.envelope()
      peer.socket.pause()
      await new Promise(resolve => peer.socket.once('close', resolve))
    },
    stage: 'data',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
    isLarge: true,
  },
  {
    name: 'a peer that reads a content of 8 MiB octet by octet',
    run: async peer => {
      await peer.envelope()
      peer.socket.pause()
      while (!peer.socket.destroyed) {
        peer.socket.read(1)
        await sleep(100)
      }
    },
    stage: 'data',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
    isLarge: true,
  },
  {
    name: 'a reply to the end of data byte by byte',
    run: async peer => {
      await peer.envelope()
      await peer.line('.')
      await peer.drip('250-nearly\r\n')
    },
    stage: 'data',
    stallsMs: deadlineMs,
    text: /did not answer in time/,
  },
  {
    name: 'an endless reply to the end of data',
    run: async peer => {
      await peer.envelope()
      await peer.line('.')
      await peer.flood(lines)
    },
    stage: 'data',
    stallsMs: 0,
    text: /lines than we read|longer reply than we read/,
  },
  {
    name: 'a refusal with a text of 60 KiB of control characters',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      peer.say(`250 ok\r\n451 ${'\x1b[2J\x07\x00'.repeat(10_000)}\r\n`)
      await peer.silence()
    },
    stage: 'rcpt',
    stallsMs: 0,
    text: /^(?:\\x1B\[2J\\x07\\x00)+/,
  },
  {
    name: 'a refusal of a hundred lines',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      peer.say(`250 ok\r\n${`451-${'long '.repeat(120)}\r\n`.repeat(99)}451 end\r\n`)
      await peer.silence()
    },
    stage: 'rcpt',
    stallsMs: 0,
    text: /^long long .*…$/,
  },
  {
    name: 'a reset in the middle of a reply',
    run: async peer => {
      await peer.hello()
      await peer.line('MAIL')
      peer.say('250-he')
      await sleep(50)
      peer.socket.resetAndDestroy()
    },
    stage: 'mail',
    stallsMs: 0,
    text: /ECONNRESET|closed the connection/,
  },
]

const messagesEach = 6
const domainOf = (index: number): string => `h${index}.hostile.example`

let siege: Siege
const servers: Server[] = []
const sockets = new Set<Socket>()
let calmDescriptors: number
let outcomes: readonly ShownEvent[] = []
/** When each message was accepted. */
let acceptedAtMs: ReadonlyMap<string, number> = new Map()

before(async () => {
  let toml = [
    '[retry]\nschedule = ["1h"]',
    '[delivery]',
    ...['connect', 'greeting', 'command', 'data', 'end_of_data'].map(
      name => `${name}_timeout = "${deadlineMs}ms"`,
    ),
    // Plain text would be allowed to a peer whose TLS is broken, for messages that are old enough.
    'tls_fallback_after = "1d"',
    '',
  ].join('\n')
  for (const [index, { run }] of hostiles.entries()) {
    const server = createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      void run(new HostileDialogue(socket)).catch(() => undefined)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
    const { port } = server.address() as AddressInfo
    toml += `[[route]]\nrecipient_domain = "${domainOf(index)}"\nsmarthost = "127.0.0.1:${port}"\n`
  }
  siege = await Siege.open({ toml })
  calmDescriptors = siege.descriptors
})
after(async () => {
  await siege[Symbol.asyncDispose]()
  for (const socket of sockets) socket.destroy()
  for (const server of servers) server.close()
})

test('hostile servers, six messages each at the same time: ordinary mail goes on and memory stays bounded', {
  timeout: 180_000,
}, async t => {
  const cost = await siege.during(async () => {
    await using client = await siege.house.client()
    for (const [index, { isLarge }] of hostiles.entries())
      for (let i = 0; i < (isLarge === true ? 3 : messagesEach); i++) {
        const body = isLarge === true ? `${'m'.repeat(76)}\r\n`.repeat(107_000) : 'small'
        queuedId(await client.send('ann@acme.example', `u${i}@${domainOf(index)}`, message([], body)))
      }
    // Each is deferred once, for its one attempt.
    const expected = hostiles.reduce((sum, { isLarge }) => sum + (isLarge === true ? 3 : messagesEach), 0)
    const isOurs = (event: ShownEvent): boolean =>
      event.type === 'deferred' && event.forwardPath?.endsWith('.hostile.example') === true
    const events = await waitForEvents(
      siege.house.server,
      all => all.filter(isOurs).length >= expected,
      150_000,
    )
    outcomes = events.filter(isOurs)
    acceptedAtMs = new Map(
      events.filter(one => one.type === 'accepted').map(one => [one.messageId!, Date.parse(one.at)]),
    )
  }, 128)
  t.diagnostic(describe(cost))
})

for (const [index, { name, stage, text, stallsMs }] of hostiles.entries())
  test(`${name}: deferred with the reason, in time`, t => {
    const own = outcomes.filter(event => event.forwardPath!.endsWith(`@${domainOf(index)}`))
    assert.ok(own.length >= 3)
    for (const event of own) {
      const outcome = event.outcome!
      assert.match(outcome.text, text)
      assert.ok(outcome.text.length <= 2001, 'what is kept of a text is bounded')
      assert.doesNotMatch(outcome.text, /[\x00-\x1f\x7f]/)
      // What waited behind another message, on its connection or for one, was lost at its own MAIL.
      const stages = stage === 'data' ? [stage, 'mail'] : [stage]
      assert.ok(stages.includes(outcome.stage), `${outcome.stage}: ${event.conversation?.join(' | ')}`)
    }
    assert.ok(own.some(({ outcome }) => outcome!.stage === stage))
    const [first] = own.toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at))
    const tookMs = Date.parse(first!.at) - acceptedAtMs.get(first!.messageId!)!
    t.diagnostic(`the first took ${tookMs} ms`)
    assert.ok(tookMs >= stallsMs - coarseMs, `given up after ${tookMs} ms`)
    assert.ok(tookMs <= stallsMs + coarseMs + slackMs, `given up only after ${tookMs} ms`)
  })

test('afterwards no connection to a hostile server is open', async () => {
  const endMs = Date.now() + 30_000
  while ((await siege.metric('postrider_connections_open')) > 0) {
    assert.ok(Date.now() < endMs, 'connections are open')
    await sleep(100)
  }
  await siege.waitForDescriptors(calmDescriptors + 10)
})
