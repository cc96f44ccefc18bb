// Greeting, EHLO and HELO: refusals, and the peer that leaves or falls silent at them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectSmtp } from './connect.ts'
import { ManualTicker, type PeerConnection, startPeer } from './testing/scripted-peer.ts'
import { failed, failure, options, session } from './testing/sessions.ts'

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

test('a greeting with the word of our own server ends the handshake: nothing but QUIT is said to ourselves', async () => {
  const ownGreetingId = '0123456789abcdef'
  const result = await failed(
    async peer => {
      peer.send(`220 client.test ESMTP ${ownGreetingId}\r\n`)
      await peer.line('QUIT')
    },
    { ownGreetingId },
  )
  assert.deepEqual([result.stage, result.kind, result.code], ['greeting', 'policy', 'OWN_GREETING'])
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

test('a name that would inject a command is not sent in EHLO', async () => {
  for (const heloName of ['', 'a b', 'a\r\nMAIL FROM:<x@y>', 'a\0']) {
    const result = await failure(connectSmtp(options(1, { heloName })))
    assert.equal(result.code, 'BAD_HELO_NAME')
  }
})
