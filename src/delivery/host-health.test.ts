import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mostTelling, tlsRefusal } from './host-failure.ts'
import { HostHealth } from './host-health.ts'
import { TlsSessions } from './tls-sessions.ts'

const failure = tlsRefusal(
  { host: 'mx.test', remoteAddress: '192.0.2.1:25', site: '', isSmarthost: false },
  'no TLS',
)

test('the time a host is left alone doubles with each failure up to its bound', () => {
  const health = new HostHealth(1_000, 5_000)
  const until: number[] = []
  for (let i = 0; i < 5; i++) {
    health.failed('a', failure, 0)
    until.push(health.blockedUntilMs('a'))
  }
  assert.deepEqual(until, [1_000, 2_000, 4_000, 5_000, 5_000])
  health.succeeded('a')
  assert.equal(health.blocked('a', 0), null)
})

test('after the back-off one probe is let through and the others wait for its result', () => {
  const health = new HostHealth(1_000, 5_000)
  health.failed('a', failure, 0)
  assert.equal(health.blocked('a', 999), failure)
  assert.equal(health.blocked('a', 1_000), null)
  health.trying('a')
  assert.equal(health.blocked('a', 1_000), failure)
  health.undecided('a')
  assert.equal(health.blocked('a', 1_000), null)
  assert.equal(health.blocked('b', 0), null)
})

test('of several failures a temporary one outweighs permanent ones, and a reply outweighs silence', () => {
  const permanent = { ...failure, isPermanent: true, source: 'reply', stage: 'greeting' } as const
  const silent = { ...failure, stage: 'connect' } as const
  const spoken = { ...failure, source: 'reply', stage: 'ehlo' } as const
  assert.equal(mostTelling([permanent, silent]), silent)
  assert.equal(mostTelling([silent, spoken, permanent]), spoken)
  assert.equal(mostTelling([permanent]), permanent)
  assert.equal(mostTelling([]), undefined)
})

test('of several failures one of a later stage outweighs those of earlier ones', () => {
  const stages = ['connect', 'greeting', 'ehlo', 'starttls', 'auth', 'mail', 'data'] as const
  const failures = stages.map(stage => ({ ...failure, stage }))
  for (const [index, one] of failures.entries()) {
    const upTo = failures.slice(0, index + 1)
    assert.equal(mostTelling(upTo), one)
    assert.equal(mostTelling(upTo.reverse()), one)
  }
})

test('the TLS session that was not used for longest is forgotten first', () => {
  const sessions = new TlsSessions(2)
  const session = (name: string) => ({
    ticket: Buffer.from(name),
    servername: name,
    isAuthorized: true,
    certificateFingerprint: null,
  })
  sessions.set('a', session('a'))
  sessions.set('b', session('b'))
  sessions.get('a')
  sessions.set('c', session('c'))
  assert.equal(sessions.get('b'), undefined)
  assert.equal(sessions.get('a')?.servername, 'a')
  sessions.delete('a')
  assert.equal(sessions.get('a'), undefined)
})

test('a TLS session as large as a hostile peer likes is not kept', () => {
  const sessions = new TlsSessions(10)
  const ticket = Buffer.alloc(20_000)
  sessions.set('a', { ticket, servername: 'a', isAuthorized: true, certificateFingerprint: null })
  assert.equal(sessions.get('a'), undefined)
})
