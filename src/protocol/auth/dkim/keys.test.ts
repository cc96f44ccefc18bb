import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { dkimRecordName, dkimRecordText, splitTxtRecord } from './dns-record.ts'
import {
  checkPrivateKey,
  dkimNamesFault,
  exportPrivateKey,
  generateDkimKey,
  importPrivateKey,
} from './keys.ts'

for (const algorithm of ['rsa-sha256', 'ed25519-sha256'] as const) {
  test(`a generated ${algorithm} key survives export and import`, async () => {
    const privateKey = await generateDkimKey(algorithm)
    const read = importPrivateKey(exportPrivateKey(privateKey))
    assert.equal(read.kind, 'usable')
    if (read.kind !== 'usable') return
    assert.equal(read.algorithm, algorithm)
    assert.ok(read.privateKey.equals(privateKey))
    const pem = importPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
    assert.equal(pem.kind, 'usable')
  })
}

test('a generated RSA key has 2048 bits, and its record text carries the public key', async () => {
  const privateKey = await generateDkimKey('rsa-sha256')
  assert.equal(privateKey.asymmetricKeyDetails?.modulusLength, 2048)
  const text = dkimRecordText({ algorithm: 'rsa-sha256', privateKey })
  const [head, p] = text.split('p=') as [string, string]
  assert.equal(head, 'v=DKIM1; k=rsa; ')
  const read = createPublicKey({ key: Buffer.from(p, 'base64'), type: 'spki', format: 'der' })
  assert.ok(read.equals(createPublicKey(privateKey)))
  const strings = splitTxtRecord(text)
  assert.equal(strings.length, 2)
  assert.equal(strings.join(''), text)
  assert.equal(strings[0]?.length, 255)
})

test('the record text of the RFC 8463 key is the published one', () => {
  const seed = Buffer.from('nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=', 'base64')
  const read = importPrivateKey(Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]))
  assert.equal(read.kind, 'usable')
  if (read.kind !== 'usable') return
  assert.equal(dkimRecordText(read), 'v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=')
})

test('weak, unfit and unreadable keys are refused with the reason', () => {
  const refusal = (check: ReturnType<typeof importPrivateKey>): string =>
    check.kind === 'refused' ? check.why : ''
  for (const bits of [512, 768]) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits })
    assert.match(
      refusal(importPrivateKey(exportPrivateKey(privateKey))),
      new RegExp(`${bits} bits is too weak`),
    )
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  assert.match(refusal(checkPrivateKey(privateKey)), /type ec/)
  assert.match(refusal(checkPrivateKey(publicKey)), /public key/)
  assert.match(
    refusal(importPrivateKey('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----')),
    /not an unencr/,
  )
  assert.equal(refusal(importPrivateKey('secret text')).includes('secret text'), false)
})

test('domain and selector are plain DNS names and nothing else', () => {
  assert.equal(dkimNamesFault('example.test', 's1'), undefined)
  assert.equal(dkimNamesFault('xn--bcher-kva.example', 'a.b-c'), undefined)
  const bad = [
    '',
    '.',
    'a.',
    '-a.test',
    'a-.test',
    'A.test',
    'a b.test',
    'a\r\n.test',
    'bücher.example',
    'a;b',
    'a_b',
  ]
  for (const name of [...bad, `${'a'.repeat(64)}.test`]) {
    assert.notEqual(dkimNamesFault(name, 's1'), undefined, name)
    assert.notEqual(dkimNamesFault('example.test', name), undefined, name)
  }
  assert.match(dkimNamesFault(Array(4).fill('a'.repeat(60)).join('.'), 'long-selector') ?? '', /too long/)
  assert.equal(dkimRecordName('s1', 'example.test'), 's1._domainkey.example.test')
})
