import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type InboxMessageJson,
  type InboxRowJson,
  type LabHostJson,
  labCommands,
  labReference,
  startLab,
} from './index.ts'
import { magicAddresses } from './magic.ts'
import { connect, deliver, mx1 } from './test-kit.ts'

test('the control commands list, show and clear the inbox and count', async () => {
  await using lab = await startLab()
  const commands = labCommands(lab)
  await deliver(lab, 'a@x.test')
  await deliver(lab, 'b@x.test')
  const rows = (await commands['lab.inbox.list']?.({})) as InboxRowJson[]
  assert.deepEqual(
    rows.map(row => [row.id, row.recipients, row.subject, row.isTls]),
    [
      ['lab_1', ['a@x.test'], 'hi', false],
      ['lab_2', ['b@x.test'], 'hi', false],
    ],
  )
  assert.deepEqual(await commands['lab.inbox.list']?.({ limit: 1 }), [rows[1]])
  const shown = (await commands['lab.inbox.show']?.({ id: '2' })) as InboxMessageJson
  assert.equal(Buffer.from(shown.contentBase64, 'base64').toString(), 'Subject: hi\r\n\r\nbody\r\n')
  assert.equal(shown.isWhole, true)
  const hosts = (await commands['lab.hosts']?.({})) as LabHostJson[]
  assert.equal(hosts.find(row => row.host === 'mx1.lab.test')?.messages, 2)
  assert.deepEqual(await commands['lab.inbox.clear']?.({}), { cleared: 2 })
  assert.deepEqual(await commands['lab.inbox.list']?.({}), [])
})

test('what cannot be done is said in words', async () => {
  await using lab = await startLab()
  const commands = labCommands(lab)
  await assert.rejects(commands['lab.inbox.show']!({ id: 'lab_9' }), /no message lab_9/)
  await assert.rejects(commands['lab.inbox.show']!({}), /"id" must be a text/)
  await assert.rejects(commands['lab.inbox.list']!({ limit: 0 }), /whole number/)
  await assert.rejects(commands['lab.behave']!({ target: '*', as: 'odd' }), /no behaviour "odd".*ordinary/)
  await assert.rejects(
    commands['lab.behave']!({ target: 'example.org', as: 'dead' }),
    /domains end in \.test/,
  )
})

test('a behaviour is set by its name and taken back by "ordinary"', async () => {
  await using lab = await startLab()
  const { 'lab.behave': behave } = labCommands(lab)
  await behave?.({ target: 'mx1.lab.test', as: 'dead' })
  assert.equal((await connect(lab, mx1)).ok, false)
  await behave?.({ target: 'mx1.lab.test', as: 'ordinary' })
  assert.deepEqual(await deliver(lab, 'a@x.test'), ['250', '354', '250'])
})

test('the reference page names every magic address, in tables without broken rows', () => {
  const page = labReference()
  for (const { example } of magicAddresses) assert.ok(page.includes(`\`${example}@inbox.test\``), example)
  for (const line of page.split('\n').filter(one => one.startsWith('|')))
    assert.ok(line.endsWith(' |') && !line.includes('undefined'), line)
})
