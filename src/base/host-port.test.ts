import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseHostPort, parseSmarthost } from './host-port.ts'

test('a host may be a name or an address, and means port 25 where none is given', () => {
  assert.deepEqual(parseHostPort('Smart.Example:587'), {
    ok: true,
    value: { host: 'smart.example', port: 587 },
  })
  assert.deepEqual(parseHostPort('[::1]'), { ok: true, value: { host: '::1', port: 25 } })
  for (const text of ['a b:25', 'x_y:25', '-a.example:25', '1.2.3:25', 'a.example:0'])
    assert.equal(parseHostPort(text).ok, false, text)
})

test('a smarthost speaks TLS from the first byte where smtps:// says so, on port 465 by default', () => {
  const at = (host: string, port: number, isImplicitTls: boolean) => ({
    ok: true,
    value: { host, port, isImplicitTls },
  })
  assert.deepEqual(parseSmarthost('Smart.Example:587'), at('smart.example', 587, false))
  assert.deepEqual(parseSmarthost('smart.example'), at('smart.example', 25, false))
  assert.deepEqual(parseSmarthost('192.0.2.1:587'), at('192.0.2.1', 587, false))
  assert.deepEqual(parseSmarthost('[2001:db8::1]:26'), at('2001:db8::1', 26, false))
  assert.deepEqual(parseSmarthost('smtps://smart.example'), at('smart.example', 465, true))
  assert.deepEqual(parseSmarthost('SMTPS://[::1]:1465'), at('::1', 1465, true))
  for (const text of [
    '',
    'smtp://a:25',
    'https://a',
    'smtps://',
    'smtps://a/',
    'smtps:a:465',
    'smtps://a:0',
    'a:65536',
    'a:b',
    'a b',
    '2001:db8::1',
    '[::1',
  ])
    assert.equal(parseSmarthost(text).ok, false, text)
})

test('an address with a zone is no smarthost: delivery could not use it', () => {
  const parsed = parseSmarthost('[fe80::1%eth0]:25')
  assert.match(parsed.ok ? '' : parsed.why, /^"\[fe80::1%eth0\]:25" is an address with a zone/)
})
