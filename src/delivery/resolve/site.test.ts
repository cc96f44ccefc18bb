import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mailProviders, siteOf } from './index.ts'

test('each provider is known by the MX hosts that its customers publish', () => {
  const samples: readonly (readonly [string, string])[] = [
    ['google', 'aspmx.l.google.com'],
    ['google', 'ASPMX2.googlemail.com.'],
    ['microsoft-365', 'contoso-com.mail.protection.outlook.com'],
    ['microsoft-365', 'contoso-com.b-v1.mx.microsoft'],
    ['outlook-com', 'hotmail-com.olc.protection.outlook.com'],
    ['yahoo', 'mta5.am0.yahoodns.net'],
    ['icloud', 'mx01.mail.icloud.com'],
    ['proofpoint', 'mxa-00112233.gslb.pphosted.com'],
    ['mimecast', 'eu-smtp-inbound-1.mimecast.com'],
  ]
  for (const [provider, host] of samples) assert.deepEqual(siteOf([host]), { site: provider, provider })
  assert.deepEqual(new Set(samples.map(([name]) => name)), new Set(mailProviders.map(({ name }) => name)))
})

test('a provider counts only when all hosts are its own', () => {
  assert.deepEqual(siteOf(['aspmx.l.google.com', 'mx.example.test']), {
    site: 'aspmx.l.google.com,mx.example.test',
    provider: null,
  })
  assert.equal(siteOf(['aspmx.l.google.com', 'mta5.am0.yahoodns.net']).provider, null)
})

test('a name that only ends like a provider is not the provider', () => {
  for (const host of ['mx.notgoogle.com', 'google.com.example.test', 'mail.google.com.evil.test']) {
    assert.equal(siteOf([host]).provider, null, host)
  }
})

test('the same MX set in any order and letter case is the same site, never longer than 255', () => {
  fc.assert(
    fc.property(fc.array(fc.domain(), { minLength: 1, maxLength: 60 }), hosts => {
      const { site } = siteOf(hosts)
      assert.equal(siteOf([...hosts].reverse().map(host => `${host.toUpperCase()}.`)).site, site)
      assert.ok(site.length <= 255)
    }),
  )
})

test('a host without a dot cannot pass for a provider', () => {
  assert.deepEqual(siteOf(['google']), { site: 'google.', provider: null })
})
