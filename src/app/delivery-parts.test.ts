import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TlsMaterial } from '../config/index.ts'
import { deliveryOptionsOf, routesOf } from './delivery-parts.ts'
import { submissionOptionsOf } from './submission-options.ts'
import { configOf } from './test-kit.ts'

const tls: TlsMaterial = {
  certificatePem: '',
  keyPem: '',
  caPem: '',
  ciphers: 'modern',
  isSelfSigned: true,
  notAfterMs: 0,
}

test('bounds of replies and headers are those of the configuration', () => {
  const config = configOf('[limits]\nreply_lines = 7\nreply_size = "1KiB"\nheader_fields = 30\n')
  const { limits } = deliveryOptionsOf(config, 1, null, tls)
  assert.deepEqual([limits.reply?.linesMax, limits.reply?.bytesMax], [7, 1024])
  assert.equal(submissionOptionsOf(config).headerFieldsMax, 30)
})

test('bounds of the whole process are divided by the threads, rounded up', () => {
  const config = configOf('[delivery]\nconnections_per_site = 5\nconnections_total = 1\n')
  const { connectionsPerSite, connectionsTotal } = deliveryOptionsOf(config, 2, null, tls)
  assert.deepEqual([connectionsPerSite, connectionsTotal], [3, 1])
})

test('a route with a login tells its logins apart, without naming the password', () => {
  const [first, second, third] = ['one', 'two', 'one'].map(password => {
    const text = `[[route]]\nrecipient_domain = "*"\nsmarthost = "a:587"\nusername = "u"\npassword = "${password}"\n`
    return routesOf(configOf(text))[0]!.smarthost
  })
  assert.deepEqual(first?.credentials, { username: 'u', password: 'one' })
  assert.notEqual(first?.loginId, second?.loginId)
  assert.equal(first?.loginId, third?.loginId)
  assert.doesNotMatch(first?.loginId ?? 'one', /one/)
  const plain = routesOf(configOf('[[route]]\nrecipient_domain = "*"\nsmarthost = "a:587"\ntls = "required"'))
  assert.deepEqual(plain[0]?.smarthost, {
    host: 'a',
    port: 587,
    isImplicitTls: false,
    tls: 'required',
  })
})
