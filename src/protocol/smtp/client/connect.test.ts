// Connecting: what a session knows, how dialling fails, deadlines and aborts, and peers that talk nonsense.

import assert from 'node:assert/strict'
import { connect as netConnect } from 'node:net'
import { test } from 'node:test'
import { connectSmtp } from './connect.ts'
import { ManualTicker, type PeerConnection, startPeer } from './testing/scripted-peer.ts'
import {
  afterDeadline,
  failed,
  failure,
  message,
  options,
  requiredTls,
  session,
  summary,
  welcome,
} from './testing/sessions.ts'

test('a session knows what the peer said and both ends of the connection', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'SIZE 5000', 'LIMITS RCPTMAX=3 MAILMAX=2'])
    await peer.closed()
  })
  const smtp = await session(peer.port, { localAddress: '127.0.0.1' })
  const { facts } = smtp
  assert.deepEqual(
    [facts.remoteAddress, facts.remotePort, facts.localAddress],
    ['127.0.0.1', peer.port, '127.0.0.1'],
  )
  assert.deepEqual(facts.greeting.lines, ['peer.test ESMTP'])
  assert.deepEqual([facts.isExtended, facts.tls, facts.authMechanism], [true, null, null])
  const { capabilities } = facts
  assert.deepEqual([capabilities.sizeBytesMax, capabilities.rcptMax, capabilities.mailMax], [5_000, 3, 2])
  smtp.destroy()
})

test('a refused port, a dialler that throws and one that destroys its socket fail at connect', async () => {
  const gone = await startPeer(() => {})
  await gone[Symbol.asyncDispose]()
  const refused = await failure(connectSmtp(options(gone.port)))
  assert.deepEqual([refused.stage, refused.kind, refused.code], ['connect', 'error', 'ECONNREFUSED'])
  const throwing = () => {
    throw Object.assign(new Error('private address'), { code: 'PRIVATE_ADDRESS' })
  }
  const thrown = await failure(connectSmtp(options(25, { connect: throwing })))
  assert.deepEqual(
    [thrown.stage, thrown.code, thrown.message],
    ['connect', 'PRIVATE_ADDRESS', 'private address'],
  )
  const destroying = await failed(peer => peer.closed(), {
    connect: (address, port) => netConnect({ host: address, port }).destroy(new Error('not allowed')),
  })
  assert.deepEqual([destroying.stage, destroying.message], ['connect', 'not allowed'])
})

test('a dialler that leaves out onread works as well', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer, ['PIPELINING', 'CHUNKING'])
    for (const command of [/^MAIL/, /^RCPT/, /^BDAT/]) await peer.line(command)
    await peer.octets(21)
    peer.send('250 ok\r\n250 ok\r\n250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port, { connect: (address, port) => netConnect({ host: address, port }) })
  assert.deepEqual(summary(await smtp.transact(message())), ['eom 250 accepted'])
  smtp.destroy()
})

test('one read buffer serves many connections', async () => {
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    for (;;) {
      await peer.line('NOOP')
      peer.send('250 o')
      await new Promise(resolve => setImmediate(resolve))
      peer.send(`k ${peer.socket.remotePort}\r\n`)
    }
  })
  const readBuffer = Buffer.alloc(1_024)
  const sessions = await Promise.all(Array.from({ length: 10 }, () => session(peer.port, { readBuffer })))
  const replies = await Promise.all(sessions.map(smtp => smtp.noop()))
  sessions.forEach((smtp, index) => {
    assert.deepEqual(replies[index]?.lines, [`ok ${smtp.facts.localPort}`])
    smtp.destroy()
  })
})

test('a drop names the stage it came at', async () => {
  const greeting = await failed(peer => peer.end())
  assert.deepEqual([greeting.stage, greeting.kind], ['greeting', 'closed'])
  const ehlo = await failed(async peer => {
    peer.send('220 x\r\n')
    await peer.line(/^EHLO/)
    peer.end()
  })
  assert.deepEqual([ehlo.stage, ehlo.kind], ['ehlo', 'closed'])
  const starttls = await failed(
    async peer => {
      await welcome(peer, ['STARTTLS'])
      await peer.line('STARTTLS')
      peer.end()
    },
    { tls: requiredTls },
  )
  assert.deepEqual([starttls.stage, starttls.kind], ['starttls', 'closed'])
})

test('silence ends at the deadline of the stage', async () => {
  const scripts: Record<string, (peer: PeerConnection) => Promise<void>> = {
    GREETING: peer => peer.closed(),
    EHLO: async peer => {
      peer.send('220 x\r\n')
      await peer.closed()
    },
    STARTTLS: async peer => {
      await welcome(peer, ['STARTTLS'])
      await peer.closed()
    },
    TLS: async peer => {
      await welcome(peer, ['STARTTLS'])
      await peer.line('STARTTLS')
      peer.send('220 go\r\n')
      await peer.closed()
    },
  }
  for (const [stage, script] of Object.entries(scripts)) {
    const ticker = new ManualTicker()
    const connected = Promise.withResolvers<void>()
    await using peer = await startPeer(async peer => {
      const running = script(peer)
      connected.resolve()
      await running
    })
    const long = {
      connectMs: 1e9,
      greetingMs: 1e9,
      ehloMs: 1e9,
      starttlsMs: 1e9,
      tlsMs: 1e9,
      handshakeMs: 1e9,
    }
    const mine = { [`${stage.toLowerCase()}Ms`]: 30_000 }
    const pending = failure(
      connectSmtp(options(peer.port, { ticker, tls: requiredTls, timeouts: { ...long, ...mine } })),
    )
    await connected.promise
    const result = await afterDeadline(ticker, pending)
    assert.equal(result.code, `TIMEOUT_${stage}`)
    assert.equal(ticker.size, 0)
  }
})

test('a peer that is slow at every stage is given up when the handshake as a whole takes too long', async () => {
  const ticker = new ManualTicker()
  await using peer = await startPeer(async peer => {
    ticker.advance(50_000)
    peer.send('220 x\r\n')
    await peer.line(/^EHLO/)
    ticker.advance(50_000)
    peer.send('500 no\r\n')
    await peer.line(/^HELO/)
    ticker.advance(50_000)
    await peer.closed()
  })
  const result = await failure(
    connectSmtp(options(peer.port, { ticker, timeouts: { connectMs: 1e9, handshakeMs: 120_000 } })),
  )
  assert.equal(result.code, 'TIMEOUT_HANDSHAKE')
})

test('abort before and during connecting is a failure of kind aborted', async () => {
  const before = await failure(connectSmtp(options(1, { signal: AbortSignal.abort() })))
  assert.equal(before.kind, 'aborted')
  const controller = new AbortController()
  const during = await failed(
    async peer => {
      controller.abort()
      await peer.closed()
    },
    { signal: controller.signal },
  )
  assert.equal(during.kind, 'aborted')
})

test('a session outlives the signal of its connecting', async () => {
  const controller = new AbortController()
  await using peer = await startPeer(async peer => {
    await welcome(peer)
    await peer.line('NOOP')
    peer.send('250 ok\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port, { signal: controller.signal })
  controller.abort()
  assert.equal((await smtp.noop())?.code, 250)
  smtp.destroy()
})

test('a peer that speaks before it is asked is not talked to', async () => {
  const early = await failed(async peer => {
    peer.send('220 x\r\n250-x\r\n250 PIPELINING\r\n')
    await peer.closed()
    assert.equal(peer.pending, '')
  })
  assert.deepEqual([early.stage, early.code], ['greeting', 'EARLY_REPLY'])
  const beforeStartTls = await failed(
    async peer => {
      peer.send('220 x\r\n')
      await peer.line(/^EHLO/)
      peer.send('250-x\r\n250 STARTTLS\r\n220 go\r\n')
      await peer.closed()
      assert.equal(peer.pending, '')
    },
    { tls: requiredTls },
  )
  assert.deepEqual([beforeStartTls.stage, beforeStartTls.code], ['ehlo', 'EARLY_REPLY'])
})

test('hostile replies end the connection with little kept: endless, long, many, garbage', async () => {
  const hostile: Record<string, (peer: PeerConnection) => void> = {
    'endless 250-': peer => {
      const flood = () => {
        while (!peer.socket.destroyed && peer.socket.write('250-x\r\n'.repeat(1_000)));
        peer.socket.once('drain', flood)
      }
      flood()
    },
    'a line of 1 MiB': peer => peer.send(`250 ${'x'.repeat(1_048_576)}\r\n`),
    '10,000 keywords': peer => peer.send(`250-x\r\n${'250-KEY\r\n'.repeat(10_000)}250 END\r\n`),
    'not SMTP': peer => peer.send('HTTP/1.1 400 Bad Request\r\n\r\n'),
    'NULs without end': peer => peer.send(Buffer.alloc(1_048_576)),
  }
  for (const [name, speak] of Object.entries(hostile)) {
    const result = await failed(async peer => {
      peer.send('220 x\r\n')
      await peer.line(/^EHLO/)
      speak(peer)
      await peer.closed()
    })
    assert.deepEqual([result.stage, result.code], ['ehlo', 'MALFORMED_REPLY'], name)
  }
})
