// Connecting: each stage can fail, and each failure is a value that names it.

import assert from 'node:assert/strict'
import { connect as netConnect } from 'node:net'
import { test } from 'node:test'
import { connectSmtp } from './connect.ts'
import type { ConnectOptions } from './options.ts'
import { ManualTicker, type PeerConnection, startPeer } from './testing/scripted-peer.ts'
import { afterDeadline, failure, message, options, session, summary, welcome } from './testing/sessions.ts'

const required: ConnectOptions['tls'] = { mode: 'required', servername: 'peer.test', verify: false }

/** Runs a script against one connection attempt and returns how it failed. */
async function failed(
  script: (peer: PeerConnection) => Promise<void> | void,
  changes: Partial<ConnectOptions> = {},
) {
  const ticker = new ManualTicker()
  await using peer = await startPeer(script)
  const result = await failure(connectSmtp(options(peer.port, { ticker, ...changes })))
  assert.equal(ticker.size, 0, 'nothing is ticked after a failure')
  return result
}

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

test('a greeting that refuses is the host failure with its reply, and the peer hears QUIT', async () => {
  for (const code of [421, 521, 554]) {
    const result = await failed(async peer => {
      const digit = Math.floor(code / 100)
      peer.send(`${code}-${digit}.7.1 no\r\n${code} ${digit}.7.1 go away\r\n`)
      await peer.line('QUIT')
    })
    assert.deepEqual([result.stage, result.kind, result.reply?.code], ['greeting', 'reply', code])
    assert.deepEqual(result.reply?.lines, ['no', 'go away'])
  }
})

test('EHLO refused with 5xx falls back to HELO, without extensions', async () => {
  await using peer = await startPeer(async peer => {
    peer.send('220 old\r\n')
    await peer.line('EHLO client.test')
    peer.send('502 not implemented\r\n')
    await peer.line('HELO client.test')
    peer.send('250 old\r\n')
    await peer.closed()
  })
  const smtp = await session(peer.port)
  assert.equal(smtp.facts.isExtended, false)
  assert.equal(smtp.facts.capabilities.hasPipelining, false)
  smtp.destroy()
})

test('EHLO refused with 4xx and HELO refused too are failures of stage ehlo', async () => {
  const transient = await failed(async peer => {
    peer.send('220 x\r\n')
    await peer.line(/^EHLO/)
    peer.send('451 4.7.1 later\r\n')
    await peer.line('QUIT')
  })
  assert.deepEqual([transient.stage, transient.reply?.code], ['ehlo', 451])
  const permanent = await failed(async peer => {
    peer.send('220 x\r\n')
    await peer.line(/^EHLO/)
    peer.send('500 what\r\n')
    await peer.line(/^HELO/)
    peer.send('550 5.7.1 bad name\r\n')
    await peer.line('QUIT')
  })
  assert.deepEqual([permanent.stage, permanent.reply?.code], ['ehlo', 550])
})

test('a refusal of EHLO is the reason when the peer closes, says 421 or falls silent at HELO', async () => {
  const ticker = new ManualTicker()
  const ends: Record<string, (peer: PeerConnection) => Promise<void> | void> = {
    'closes at once': peer => {
      peer.send('550 5.7.1 not you\r\n')
      peer.end()
    },
    'closes at HELO': async peer => {
      peer.send('550 5.7.1 not you\r\n')
      await peer.line(/^HELO/)
      peer.end()
    },
    'says 421 at HELO': async peer => {
      peer.send('550 5.7.1 not you\r\n')
      await peer.line(/^HELO/)
      peer.send('421 4.7.0 bye\r\n')
    },
    'falls silent at HELO': async peer => {
      peer.send('550 5.7.1 not you\r\n')
      await peer.line(/^HELO/)
      ticker.advance(90_000)
    },
    'says 421 in the same segment': peer => peer.send('550 5.7.1 not you\r\n421 4.7.0 bye\r\n'),
    'says more in the same segment': peer => peer.send('550 5.7.1 not you\r\n550 5.7.1 not you\r\n'),
  }
  for (const [name, end] of Object.entries(ends)) {
    const script = async (peer: PeerConnection) => {
      peer.send('220 x\r\n')
      await peer.line(/^EHLO/)
      await end(peer)
      await peer.closed()
    }
    const result = await failed(script, { ticker })
    assert.deepEqual([result.stage, result.kind, result.reply?.code], ['ehlo', 'reply', 550], name)
    assert.deepEqual(result.reply?.lines, ['not you'], name)
  }
})

test('a peer that does not know EHLO and leaves at HELO has refused nothing', async () => {
  const ends: [string, boolean, number | undefined][] = [
    ['500 what\r\n', false, undefined],
    ['502 what\r\n', true, 421],
    ['500 what\r\n421 busy\r\n', false, 421],
  ]
  for (const [answer, isBusy, code] of ends) {
    const result = await failed(async peer => {
      peer.send('220 x\r\n')
      await peer.line(/^EHLO/)
      peer.send(answer)
      if (answer.includes('421')) return peer.closed()
      await peer.line(/^HELO/)
      if (isBusy) peer.send('421 busy\r\n')
      else peer.end()
      await peer.closed()
    })
    assert.deepEqual([result.stage, result.reply?.code], ['ehlo', code], answer)
  }
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
    { tls: required },
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
      connectSmtp(options(peer.port, { ticker, tls: required, timeouts: { ...long, ...mine } })),
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
    { tls: required },
  )
  assert.deepEqual([beforeStartTls.stage, beforeStartTls.code], ['ehlo', 'EARLY_REPLY'])
})

test('bytes behind the answer to STARTTLS are an injection: a line, a part of a line, 16 KiB', async () => {
  for (const tail of ['250-evil\r\n250 AUTH PLAIN\r\n', '2', `250 ${'x'.repeat(16_380)}`]) {
    const result = await failed(
      async peer => {
        await welcome(peer, ['STARTTLS'])
        await peer.line('STARTTLS')
        peer.send(`220 go\r\n${tail}`)
        await peer.closed()
        assert.equal(peer.pending, '', 'no ClientHello was sent')
      },
      { tls: required },
    )
    assert.deepEqual([result.stage, result.kind, result.code], ['starttls', 'protocol', 'TLS_INJECTION'])
  }
})

test('STARTTLS that is required and not offered, or offered and refused, is a failure; opportunistic goes on without', async () => {
  const missing = await failed(
    async peer => {
      await welcome(peer, ['PIPELINING'])
      await peer.line('QUIT')
    },
    { tls: required },
  )
  assert.deepEqual(
    [missing.stage, missing.kind, missing.code],
    ['starttls', 'policy', 'STARTTLS_NOT_OFFERED'],
  )
  const refused = await failed(
    async peer => {
      await welcome(peer, ['STARTTLS'])
      await peer.line('STARTTLS')
      peer.send('454 4.7.0 TLS not available\r\n')
      await peer.line('QUIT')
    },
    { tls: { ...required, mode: 'opportunistic' } },
  )
  assert.deepEqual([refused.stage, refused.reply?.code], ['starttls', 454])
  await using peer = await startPeer(async peer => {
    await welcome(peer, [])
    await peer.closed()
  })
  const smtp = await session(peer.port, { tls: { ...required, mode: 'opportunistic' } })
  assert.equal(smtp.facts.tls, null)
  smtp.destroy()
})

test('credentials are not sent without TLS unless that is allowed, and not where AUTH is not offered', async () => {
  const auth = { username: 'user', password: 'secret' }
  const clear = await failed(
    async peer => {
      await welcome(peer, ['AUTH PLAIN'])
      await peer.line('QUIT')
    },
    { auth },
  )
  assert.deepEqual([clear.stage, clear.code], ['auth', 'AUTH_NEEDS_TLS'])
  const allowed = { ...auth, isClearAllowed: true }
  for (const [keywords, code] of [
    [[], 'AUTH_NOT_OFFERED'],
    [['AUTH CRAM-MD5'], 'AUTH_NOT_OFFERED'],
  ] as const) {
    const result = await failed(
      async peer => {
        await welcome(peer, keywords)
        await peer.line('QUIT')
      },
      { auth: allowed },
    )
    assert.equal(result.code, code)
  }
})

test('PLAIN comes before LOGIN, long credentials wait for the challenge, and a refusal does not show the password', async () => {
  const password = 'p'.repeat(600)
  const auth = { username: 'üser', password, isClearAllowed: true }
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  await using plain = await startPeer(async peer => {
    await welcome(peer, ['AUTH LOGIN PLAIN'])
    await peer.line('AUTH PLAIN')
    peer.send('334 \r\n')
    await peer.line(base64(`\0üser\0${password}`))
    peer.send('235 2.7.0 welcome\r\n')
    await peer.closed()
  })
  const smtp = await session(plain.port, { auth })
  assert.equal(smtp.facts.authMechanism, 'PLAIN')
  smtp.destroy()
  const refused = await failed(
    async peer => {
      await welcome(peer, ['AUTH LOGIN'])
      await peer.line('AUTH LOGIN')
      peer.send('334 VXNlcm5hbWU6\r\n')
      await peer.line(base64('üser'))
      peer.send('334 UGFzc3dvcmQ6\r\n')
      await peer.line(base64(password))
      peer.send('535 5.7.8 wrong\r\n')
      await peer.line('QUIT')
    },
    { auth },
  )
  assert.deepEqual([refused.stage, refused.reply?.code], ['auth', 535])
  assert.doesNotMatch(JSON.stringify(refused), /ppp|cHBw/)
})

test('a name that would inject a command is not sent in EHLO', async () => {
  for (const heloName of ['', 'a b', 'a\r\nMAIL FROM:<x@y>', 'a\0']) {
    const result = await failure(connectSmtp(options(1, { heloName })))
    assert.equal(result.code, 'BAD_HELO_NAME')
  }
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
