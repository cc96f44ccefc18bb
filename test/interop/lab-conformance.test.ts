/**
 * The lab's receiving hosts obey the same dialogue as a real receiver: each script below is spoken to a lab
 * host and to Debian's Postfix, and the replies must be of the same class, line by line. What both kept of
 * the content must be the same bytes.
 *
 * Left out on purpose: where Postfix is laxer than RFC 5321 by default (MAIL before EHLO, addresses without
 * brackets), since the lab is there to find clients that rely on it.
 */
import assert from 'node:assert/strict'
import net from 'node:net'
import { describe, it } from 'node:test'
import { startLab } from '../../src/lab/index.ts'
import { TestClient } from '../../src/protocol/smtp/server/test-kit.ts'
import { freePort, missingPeers, startPostfixReceiver } from '../support/peers/index.ts'

const missing = await missingPeers()
const absent = [...missing.filter(name => name === 'postfix'), ...(process.getuid?.() === 0 ? [] : ['root'])]
const needsPostfix = {
  skip: absent.length === 0 || process.env['CI'] === 'true' ? false : `missing: ${absent.join(', ')}`,
} as const

const content = 'Subject: dots\r\n\r\n..stuffed\r\n...\r\n\ttab and trailing blank \r\n'

/** One turn: what is sent in one write, and how many replies belong to it. */
type Turn = readonly [bytes: string, replies?: number]

const scripts: ReadonlyArray<{ readonly name: string; readonly turns: readonly Turn[] }> = [
  {
    name: 'greeting, EHLO, NOOP, RSET, VRFY, QUIT',
    turns: ['EHLO a.test', 'NOOP', 'RSET', 'VRFY a', 'QUIT'].map(line => [`${line}\r\n`]),
  },
  { name: 'HELO in place of EHLO', turns: [['HELO a.test\r\n'], ['MAIL FROM:<a@a.test>\r\n'], ['QUIT\r\n']] },
  {
    name: 'commands out of order',
    turns: [
      ['EHLO a.test\r\n'],
      ['RCPT TO:<b@inbox.test>\r\n'],
      ['DATA\r\n'],
      ['MAIL FROM:<a@a.test>\r\n'],
      ['MAIL FROM:<again@a.test>\r\n'],
      ['RSET\r\n'],
      ['RCPT TO:<b@inbox.test>\r\n'],
      ['QUIT\r\n'],
    ],
  },
  {
    name: 'unknown verbs, missing and wrong arguments',
    turns: [
      ['EHLO\r\n'],
      ['WHAT ever\r\n'],
      ['EHLO a.test\r\n'],
      ['MAIL\r\n'],
      ['MAIL FROM:<a@a.test> NOSUCH=1\r\n'],
      ['MAIL FROM:<a@a.test> SIZE=99999999999\r\n'],
      // Postfix keeps a transaction open whose MAIL it refused for its size.
      ['RSET\r\n'],
      ['MAIL FROM:<>\r\n'],
      ['RCPT TO:<>\r\n'],
      ['AUTH PLAIN AGEAYg==\r\n'],
      ['QUIT\r\n'],
    ],
  },
  {
    name: 'a message by DATA, lower-case verbs, dots stuffed',
    turns: [
      ['ehlo a.test\r\n'],
      ['mail from:<a@a.test> body=8bitmime\r\n'],
      ['rcpt to:<b@inbox.test>\r\n'],
      ['data\r\n'],
      [`${content.replaceAll(/^\./gm, '..')}.\r\n`],
      ['quit\r\n'],
    ],
  },
  {
    name: 'a message by BDAT, in two chunks',
    turns: [
      ['EHLO a.test\r\n'],
      ['MAIL FROM:<a@a.test>\r\n'],
      ['RCPT TO:<b@inbox.test>\r\n'],
      [`BDAT 20\r\n${content.slice(0, 20)}`],
      [`BDAT ${content.length - 20} LAST\r\n${content.slice(20)}`],
      ['QUIT\r\n'],
    ],
  },
  {
    name: 'two messages on a connection, commands in one write',
    turns: [
      ['EHLO a.test\r\n'],
      ['MAIL FROM:<a@a.test>\r\nRCPT TO:<b@inbox.test>\r\nRCPT TO:<c@inbox.test>\r\nDATA\r\n', 4],
      [
        `${content.replaceAll(/^\./gm, '..')}.\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<b@inbox.test>\r\nDATA\r\n`,
        4,
      ],
      [`${content.replaceAll(/^\./gm, '..')}.\r\nQUIT\r\n`, 2],
    ],
  },
]

/** The class of each reply, turn by turn; `closed` at the end when the peer closed after the last. */
async function speak(address: string, port: number, turns: readonly Turn[]): Promise<string[]> {
  const client = new TestClient(net.connect(port, address))
  const classes = [`greeting: ${(await client.reply())[0]}`]
  for (const [bytes, replies = 1] of turns) {
    client.send(bytes)
    for (const reply of await client.replies(replies))
      classes.push(`${bytes.slice(0, 30).trim()}: ${reply[0]}`)
  }
  classes.push((await client.replyOrNull()) === null ? 'closed' : 'more')
  client.destroy()
  return classes
}

describe('the lab and Postfix', { concurrency: false }, () => {
  it('answer every dialogue with the same classes and keep the same bytes', needsPostfix, async () => {
    await using lab = await startLab()
    await using postfix = await startPostfixReceiver({
      listenAddress: '127.0.0.1',
      port: await freePort(),
      extraMainCf: 'message_size_limit = 10240000',
    })
    for (const { name, turns } of scripts) {
      const ours = await speak('127.77.0.1', lab.mxPort, turns)
      const theirs = await speak(postfix.address, postfix.port, turns)
      assert.deepEqual(ours, theirs, name)
    }
    const kept = lab.inbox.list()
    assert.equal(kept.length, 4)
    const mails = await postfix.waitFor(kept.length)
    assert.deepEqual(new Set(mails.map(mail => mail.bytes.toString('latin1'))), new Set([content]))
    for (const entry of kept) assert.equal(entry.content.toString('latin1'), content, entry.id)
    const recipients = (all: readonly string[]): string[] => [...all].sort()
    assert.deepEqual(
      recipients(mails.flatMap(mail => mail.rcptTo)),
      recipients(kept.flatMap(entry => entry.recipients.map(one => one.forwardPath))),
    )
  })
})
