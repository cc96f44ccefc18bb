// STARTTLS and AUTH in the clear part of a session: injections, refusals, and what is never sent without TLS.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startPeer } from './testing/scripted-peer.ts'
import { failed, requiredTls, session, welcome } from './testing/sessions.ts'

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
      { tls: requiredTls },
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
    { tls: requiredTls },
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
    { tls: { ...requiredTls, mode: 'opportunistic' } },
  )
  assert.deepEqual([refused.stage, refused.reply?.code], ['starttls', 454])
  await using peer = await startPeer(async peer => {
    await welcome(peer, [])
    await peer.closed()
  })
  const smtp = await session(peer.port, { tls: { ...requiredTls, mode: 'opportunistic' } })
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
