import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Inbox, type InboxEntry } from './inbox.ts'
import { InboxFiles } from './inbox-files.ts'

const entry = (text: string): Omit<InboxEntry, 'id'> => ({
  receivedAtMs: 5,
  host: 'mx1.lab.test',
  reversePath: 'a@b.test',
  mailParameters: { body: '7bit', isSmtpUtf8: false },
  recipients: [{ forwardPath: 'c@d.test', parameters: {} }],
  tls: null,
  client: { address: '127.0.0.1', port: 1, helloName: 'x' },
  content: Buffer.from(text),
})
const texts = (inbox: Inbox): string[] => inbox.list().map(one => one.content.toString())

test('the oldest messages go when there are too many or too many bytes, and the newest always stays', () => {
  const byCount = new Inbox({ messagesMax: 2, bytesMax: 100 })
  for (const text of ['a', 'b', 'c']) byCount.add(entry(text))
  assert.deepEqual(texts(byCount), ['b', 'c'])
  const byBytes = new Inbox({ messagesMax: 100, bytesMax: 10 })
  for (const text of ['aaaa', 'bbbb', 'cccc']) byBytes.add(entry(text))
  assert.deepEqual(texts(byBytes), ['bbbb', 'cccc'])
  byBytes.add(entry('d'.repeat(50)))
  assert.deepEqual(texts(byBytes), ['d'.repeat(50)])
  assert.equal(byBytes.received, 4)
})

test('waiting finds what is there, what comes later, and says what is missing', async () => {
  const inbox = new Inbox()
  const later = inbox.waitFor(one => one.content.toString() === 'b')
  inbox.add(entry('a'))
  const { id } = inbox.add(entry('b'))
  assert.equal((await later).id, id)
  assert.equal((await inbox.waitFor(one => one.reversePath === 'a@b.test')).id, 'lab_1')
  await inbox.waitForCount(2)
  await assert.rejects(
    inbox.waitFor(() => false, 1),
    /no matching message arrived.* which has 2/,
  )
  await assert.rejects(inbox.waitForCount(3, 1), /2 of 3 messages/)
})

test('with a folder the inbox is there again after a restart, numbered on, and broken files are passed over', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'lab-inbox-'))
  try {
    const first = new Inbox(undefined, new InboxFiles(directory))
    const binary = { ...entry(''), content: Buffer.from([0, 255, 13, 10]) }
    first.add(entry('a'))
    const kept = first.add(binary)
    await first.settled()
    writeFileSync(join(directory, 'lab_7.json'), '{')
    const second = new Inbox(undefined, new InboxFiles(directory))
    assert.deepEqual(second.list(), [{ id: 'lab_1', ...entry('a') }, kept])
    assert.equal(second.add(entry('c')).id, 'lab_3')
    assert.equal(second.clear(), 3)
    await second.settled()
    assert.equal(second.fault, null)
    assert.deepEqual(readdirSync(directory), ['lab_7.json'])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('a copy that cannot be written is told and costs nothing but the copy', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'lab-inbox-'))
  const inbox = new Inbox(undefined, new InboxFiles(directory))
  rmSync(directory, { recursive: true })
  inbox.add(entry('a'))
  await inbox.settled()
  assert.match(inbox.fault ?? '', /ENOENT/)
  assert.deepEqual(texts(inbox), ['a'])
})
