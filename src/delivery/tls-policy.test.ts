import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TlsPolicy, type TlsSight, tlsPolicyFor, tlsVerdict } from './tls-policy.ts'

const policies: readonly TlsPolicy[] = ['opportunistic', 'opportunistic-clear', 'required', 'verified']
const sights: readonly TlsSight[] = ['works', 'fails', 'not-offered']

test('TLS that works is used under every policy', () => {
  for (const policy of policies)
    for (const lately of [true, false]) assert.equal(tlsVerdict(policy, 'works', lately), 'use')
})

test('a host where TLS worked lately is never spoken to in clear text', () => {
  for (const policy of policies)
    for (const sight of sights.slice(1)) assert.equal(tlsVerdict(policy, sight, true), 'next')
})

test('required and verified never lead to clear text', () => {
  for (const policy of policies.slice(2))
    for (const sight of sights.slice(1)) assert.equal(tlsVerdict(policy, sight, false), 'next')
})

test('a failure of TLS leads to clear text only for a message that has waited, and last of all', () => {
  assert.equal(tlsVerdict('opportunistic', 'fails', false), 'next')
  assert.equal(tlsVerdict('opportunistic-clear', 'fails', false), 'clear-last')
  assert.equal(tlsVerdict('opportunistic', 'not-offered', false), 'clear')
})

test('credentials bind TLS whatever the age of the message', () => {
  const smarthost = { host: 'a', port: 587 }
  const credentials = { username: 'u', password: 'p' }
  assert.equal(tlsPolicyFor(null, 0, 10), 'opportunistic')
  assert.equal(tlsPolicyFor(null, 10, 10), 'opportunistic-clear')
  assert.equal(tlsPolicyFor(smarthost, 10, 10), 'opportunistic-clear')
  assert.equal(tlsPolicyFor({ ...smarthost, credentials }, 99, 10), 'required')
  assert.equal(tlsPolicyFor({ ...smarthost, credentials, tls: 'verified' }, 99, 10), 'verified')
})

test('TLS from the first byte is at least required', () => {
  const smarthost = { host: 'a', port: 465, isImplicitTls: true }
  assert.equal(tlsPolicyFor(smarthost, 99, 10), 'required')
  assert.equal(tlsPolicyFor({ ...smarthost, tls: 'verified' }, 0, 10), 'verified')
})
