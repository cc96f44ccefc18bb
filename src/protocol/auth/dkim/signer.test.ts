import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { dkimVerify } from 'mailauth'
import { HeaderCollector, scanHeaderBlock } from '../../mail/index.ts'
import { BodyHasher } from './body-hasher.ts'
import { dkimRecordName, dkimRecordText, splitTxtRecord } from './dns-record.ts'
import { canonicaliseFields } from './header-canon.ts'
import type { DkimKey } from './keys.ts'
import { type SignRequest, signMessage, signMessageAsync } from './signer.ts'

const rsaPrivate: KeyObject = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const edPrivate: KeyObject = generateKeyPairSync('ed25519').privateKey
const rsaKey: DkimKey = {
  domain: 'example.test',
  selector: 'r1',
  algorithm: 'rsa-sha256',
  privateKey: rsaPrivate,
}
const edKey: DkimKey = {
  domain: 'example.test',
  selector: 'e1',
  algorithm: 'ed25519-sha256',
  privateKey: edPrivate,
}
const operatorKey: DkimKey = { ...edKey, domain: 'relay.operator.test', selector: 'op' }
const keys: readonly DkimKey[] = [rsaKey, edKey]
const plain = Buffer.from('From: A <a@example.test>\r\nSubject: x\r\nTo: b@c.test\r\n\r\nHello\r\n')

/** Parts a content, scans its header and hashes its body cut at `cuts`. */
function signRequestFor(
  content: Buffer,
  keys: readonly DkimKey[],
  cuts: readonly number[] = [],
): SignRequest {
  const progress = new HeaderCollector().push(content)
  const header = progress.kind === 'complete' ? progress.header : content
  const body = progress.kind === 'complete' ? progress.rest : Buffer.alloc(0)
  const scan = scanHeaderBlock(header)
  if (scan.kind !== 'scanned') throw new Error(scan.kind)
  const hasher = new BodyHasher()
  const edges = [0, ...cuts.filter(cut => cut <= body.length).sort((a, b) => a - b), body.length]
  for (let i = 1; i < edges.length; i++) hasher.push(Buffer.from(body.subarray(edges[i - 1], edges[i])))
  return { headerFields: scan.block.fields, bodyHash: hasher.digest(), keys, signedAtMs: 1_790_000_000_000 }
}

/** What mailauth says of each signature in the message, top to bottom: `pass`, `fail`, …. */
async function judge(message: Buffer, keys: readonly DkimKey[]): Promise<string[]> {
  const records = new Map(
    keys.map(key => [dkimRecordName(key.selector, key.domain), splitTxtRecord(dkimRecordText(key))]),
  )
  const resolver = async (name: string): Promise<string[][]> => {
    const strings = records.get(name)
    if (strings !== undefined) return [strings]
    throw Object.assign(new Error(`no record ${name}`), { code: 'ENOTFOUND' })
  }
  const curTime = new Date(1_790_000_001_000)
  const { results } = await dkimVerify(message, { resolver: resolver as never, curTime } as never)
  return results.map(result => result.status.result)
}

function signed(content: Buffer, withKeys: readonly DkimKey[] = keys, cuts: readonly number[] = []): Buffer {
  const result = signMessage(signRequestFor(content, withKeys, cuts))
  if (result.kind !== 'signed') throw new Error(result.why)
  return Buffer.concat([result.signatures, content])
}

test('the signature of RFC 8463 appendix A comes out byte for byte', () => {
  const seed = Buffer.from('nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=', 'base64')
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const header = [
    'From: Joe SixPack <joe@football.example.com>',
    'To: Suzie Q <suzie@shopping.example.net>',
    'Subject: Is dinner ready?',
    'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
    'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
    'DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;',
    ' d=football.example.com; i=@football.example.com;',
    ' q=dns/txt; s=brisbane; t=1528637909; h=from : to :',
    ' subject : date : message-id : from : subject : date;',
    ' bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;',
    ' b=',
  ]
  const scan = scanHeaderBlock(Buffer.from(`${header.join('\r\n')}\r\n`))
  if (scan.kind !== 'scanned') throw new Error(scan.kind)
  const covered = canonicaliseFields(scan.block.fields)
  const digest = hash('sha256', covered.subarray(0, covered.length - 2), 'buffer')
  assert.equal(
    sign(null, digest, privateKey).toString('base64'),
    '/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==',
  )
})

test('RSA, Ed25519 and the operator domain sign together and all verify', async () => {
  const all = [...keys, operatorKey]
  const message = signed(plain, all)
  assert.deepEqual(await judge(message, all), ['pass', 'pass', 'pass'])
})

test('the synchronous and the asynchronous form give the same bytes', async () => {
  const request: SignRequest = signRequestFor(plain, keys)
  assert.deepEqual(await signMessageAsync(request), signMessage(request))
})

test('random messages verify, whatever their white space, line ends and chunks', async () => {
  const space = fc.constantFrom('', ' ', '  ', '\t', '\r\n ', '\r\n\t ')
  const field = fc
    .tuple(fc.constantFrom('Subject', 'to', 'CC', 'X-Other', 'Message-Id', 'MIME-version'), space, space)
    .map(([name, before, after]) => `${name}:${before}some${after}text\r\n`)
  const piece = fc.constantFrom(' ', '\t', '\r\n', '\r\n', 'word', '.', '=20', '\xe9\xff')
  const mail = fc.record({
    fields: fc.array(field, { maxLength: 6 }),
    body: fc.array(piece, { maxLength: 40 }),
    cuts: fc.array(fc.nat(120), { maxLength: 6 }),
  })
  await fc.assert(
    fc.asyncProperty(mail, async ({ fields, body, cuts }) => {
      const text = `${fields.join('')}From: a@example.test\r\n\r\n${body.join('')}`
      const message = signed(Buffer.from(text, 'latin1'), keys, cuts)
      assert.deepEqual(await judge(message, keys), ['pass', 'pass'])
    }),
    { numRuns: 150 },
  )
})

for (const added of [
  'From: evil@example.test',
  'Subject: other',
  'Reply-To: evil@x.test',
  'Content-Type: text/html',
]) {
  test(`adding a field breaks the signatures: ${added}`, async () => {
    const message = signed(plain)
    const above = Buffer.concat([Buffer.from(`${added}\r\n`), message])
    const verdicts = await judge(above, keys)
    assert.equal(verdicts.length, 2)
    assert.ok(!verdicts.includes('pass'))
  })
}

test('changing or appending a word of the body breaks the signatures', async () => {
  const message = Buffer.concat([signed(plain), Buffer.from('more\r\n')])
  assert.ok(!(await judge(message, keys)).includes('pass'))
})

test('no line is over 77 characters, no l= is there, and t= and x= are as asked', () => {
  const request = { ...signRequestFor(plain, [...keys, operatorKey]), expiresAtMs: 1_790_000_600_000 }
  const result = signMessage(request)
  assert.equal(result.kind, 'signed')
  if (result.kind !== 'signed') return
  const text = result.signatures.toString('latin1')
  for (const line of text.split('\r\n')) assert.ok(line.length <= 77, line)
  assert.equal(text.match(/^DKIM-Signature:/gm)?.length, 3)
  assert.equal(/[\s;]l=/.test(text), false)
  assert.match(text, /t=1790000000; x=1790000600;/)
})

test('a long domain and selector still verify', async () => {
  const label = 'a'.repeat(60)
  const key: DkimKey = { ...edKey, domain: `${label}.${label}.test`, selector: `${label}.s` }
  assert.deepEqual(await judge(signed(plain, [key]), [key]), ['pass'])
})

const failing: readonly (readonly [string, (request: SignRequest) => SignRequest, RegExp])[] = [
  ['no keys', r => ({ ...r, keys: [] }), /no key/],
  ['no From', r => ({ ...r, headerFields: r.headerFields.slice(1) }), /one From.*has 0/],
  ['two From', r => ({ ...r, headerFields: [r.headerFields[0]!, ...r.headerFields] }), /one From.*has 2/],
  ['a short body hash', r => ({ ...r, bodyHash: Buffer.alloc(20) }), /20 bytes/],
  ['a time that is no time', r => ({ ...r, signedAtMs: Number.NaN }), /time of signing/],
  ['an expiry in the past', r => ({ ...r, expiresAtMs: r.signedAtMs - 1 }), /expire/],
  ['one weak key of two', r => ({ ...r, keys: [edKey, weakKey()] }), /r1\._domainkey.*512 bits/],
  [
    'a key of the other algorithm',
    r => ({ ...r, keys: [{ ...rsaKey, privateKey: edPrivate }] }),
    /is for ed25519/,
  ],
  [
    'a selector with CRLF',
    r => ({ ...r, keys: [{ ...edKey, selector: 'x\r\nBcc: y@z' }] }),
    /not a selector/,
  ],
  ['a domain with tags', r => ({ ...r, keys: [{ ...edKey, domain: 'a.test; l=0' }] }), /not a domain name/],
]
for (const [what, change, why] of failing) {
  test(`${what}: signing fails as a value in both forms and gives no signature`, async () => {
    const request = change(signRequestFor(plain, keys))
    const result = signMessage(request)
    assert.equal(result.kind, 'failed')
    if (result.kind === 'failed') assert.match(result.why, why)
    assert.deepEqual(await signMessageAsync(request), result)
  })
}

function weakKey(): DkimKey {
  return { ...rsaKey, privateKey: generateKeyPairSync('rsa', { modulusLength: 512 }).privateKey }
}
