import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { type ControlClient, connectControl } from './index.ts'
import { ControlTestBed, startMs } from './test-kit.ts'
import { lineSizeBytesMax } from './wire.ts'

/** With their DNS records more than one line may hold, as 15,000 with records of ordinary size. */
const domains = 3_000
const recordBytes = 6_000

let bed: ControlTestBed
before(async () => {
  bed = await ControlTestBed.open()
  const account = await bed.service.createAccount('shop')
  assert.ok(account.ok)
  const accountKey = bed.store.accounts.accountByName('shop')!.key
  const key = {
    algorithm: 'rsa-sha256',
    encryptedPrivateKey: Buffer.alloc(0),
    publicRecord: `v=DKIM1; k=rsa; p=${'A'.repeat(recordBytes)}`,
    status: 'active',
    createdAtMs: startMs,
  } as const
  const made = Array.from({ length: domains }, (_, number) =>
    bed.store.accountStore.createDomain(
      {
        id: `dom_${number}`,
        accountKey,
        name: `customer${number}.example`,
        status: 'trusted',
        signs: true,
        createdAtMs: startMs,
      },
      [
        { ...key, id: `key_${number}a`, selector: 'pr-a-rsa' },
        { ...key, id: `key_${number}b`, selector: 'pr-b-rsa' },
      ],
    ),
  )
  await Promise.all(made)
})
after(async () => await bed[Symbol.asyncDispose]())

async function connected(): Promise<ControlClient> {
  const found = await connectControl(bed.serverPath)
  assert.ok(found.ok)
  return found.client
}

test('a list that is longer than a line may be comes whole, and others are answered meanwhile', async () => {
  using client = await connected()
  using other = await connected()
  const names: string[] = []
  let bytes = 0
  let before = 0
  let status: Promise<void> | null = null
  const listed = await client.call('domain.list', {}, row => {
    names.push((row as { domain: string }).domain)
    bytes += JSON.stringify(row).length
    status ??= other.call('server.status').then(() => {
      before = names.length
    })
  })
  assert.deepEqual(listed, { ok: true, value: { count: domains } })
  assert.deepEqual(
    names,
    Array.from({ length: domains }, (_, number) => `customer${number}.example`),
  )
  assert.ok(bytes > lineSizeBytesMax)
  await status
  assert.ok(before < domains / 2, `${before} of ${domains} rows came before the answer of another command`)
})

test('a list for a client that closes its half of the connection is whole, or no success', async () => {
  const client = connect({ path: bed.serverPath, allowHalfOpen: true })
  client.end('{"id":1,"command":"domain.list"}\n')
  const lines = (await text(client)).trimEnd().split('\n')
  const last = JSON.parse(lines.at(-1)!) as { result?: { count: number }; error?: { code: string } }
  if (last.error === undefined) assert.equal(last.result?.count, domains)
  else assert.equal(last.error.code, 'cancelled')
})

test('a list ends with its client, and the server goes on', async () => {
  const client = await connected()
  let rows = 0
  const listed = await client.call('domain.list', {}, () => {
    if (++rows === 10) client[Symbol.dispose]()
  })
  assert.ok(!listed.ok && listed.error.code === 'server-gone')
  using other = await connected()
  assert.ok((await other.call('server.status')).ok)
})
