// What a recipient's server can do, and what must become of mail that needs it: a row each, for all servers that it
// holds for. `extensions.test.ts` goes through the rows in the clear and over STARTTLS.

import assert from 'node:assert/strict'
import { queuedId, type SmtpClient } from '../../scenario/support/client.ts'
import { type House, message, type ShownEvent, type ShownOutcome } from '../../scenario/support/house.ts'
import type { Receiver } from '../../support/peers/index.ts'
import { mailsFor, mailThatCame, outcomes, recipientsThatCame } from './what-became.ts'

export const serverNames = ['postfix', 'exim', 'opensmtpd', 'sendmail', 'smtp-server'] as const
export type ServerName = (typeof serverNames)[number]

/** What all of them announce with SIZE, but for those that keep it to themselves. */
export const sizeBytes = 65_536

/** A server that is sent to, and the way there. */
export interface Site {
  readonly name: ServerName
  readonly domain: string
  readonly receiver: Receiver
  readonly house: House
  readonly client: SmtpClient
  readonly isTls: boolean
}

export interface Capability {
  readonly title: string
  readonly servers: readonly ServerName[]
  readonly assert: (site: Site) => Promise<void>
}

const withUtf8: readonly ServerName[] = ['postfix', 'exim', 'smtp-server']
const withoutUtf8: readonly ServerName[] = ['opensmtpd', 'sendmail']
/** Exim and OpenSMTPD take BODY=8BITMIME and pass the content on without it. */
const passBody: readonly ServerName[] = ['postfix', 'sendmail', 'smtp-server']

const line = `${'x'.repeat(70)}\r\n`
/** Above the announced SIZE. */
export const largeMessage: string = message([], line.repeat(1000))
/** Just below it, with room for the fields that are put in front. */
const fittingMessage = message([], line.repeat(890))
export const eightBitMessage: string = message(
  ['MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'],
  'Grüße',
)

export const capabilities: readonly Capability[] = [
  {
    title: 'of 100 recipients each gets its own answer, though it hangs up after 20 refusals',
    servers: ['postfix'],
    assert: someOfHundred,
  },
  {
    title: '100 recipients are taken in one message',
    servers: serverNames.filter(name => name !== 'postfix'),
    assert: async site => {
      const to = Array.from({ length: 100 }, (_, index) => `crowd${index}@${site.domain}`)
      const found = await send(site, to, message())
      assert.deepEqual(new Set([...found.values()].map(event => event.type)), new Set(['delivered']))
      assert.deepEqual(await recipientsThatCame(site.receiver, 'crowd', 100), to.sort())
      const texts = new Set([...found.values()].map(event => event.outcome!.text))
      assert.equal(texts.size, 1, 'one transaction, one reply to the content')
    },
  },
  {
    title: 'a refusal of one address leaves the others alone',
    servers: ['opensmtpd'],
    assert: async site => {
      const to = [`"quoted one"@${site.domain}`, `plain@${site.domain}`]
      const found = await send(site, to, message())
      const refused = found.get(to[0]!)!.outcome!
      assert.deepEqual([refused.kind, refused.code, refused.stage], ['bounced', 501, 'rcpt'])
      assert.equal(found.get(to[1]!)!.type, 'delivered')
    },
  },
  {
    title: 'a message above the announced SIZE bounces without being sent',
    servers: serverNames,
    assert: async site => {
      const outcome = await sendOne(site, 'large', largeMessage)
      const { kind, code, enhancedCode, stage, scope, text } = outcome
      assert.deepEqual([kind, code, enhancedCode, stage, scope], ['bounced', 552, '5.3.4', 'mail', 'content'])
      assert.match(text, new RegExp(`the recipient's server takes ${sizeBytes};`))
      assert.deepEqual(await mailsFor(site.receiver, 'large'), [])
      const log = await site.receiver.log()
      assert.doesNotMatch(log, /size exceeds|exceeds fixed maximum|too (?:big|large)/i)
    },
  },
  {
    title: 'a message just below the announced SIZE is taken',
    servers: serverNames,
    assert: async site => {
      assert.equal((await sendOne(site, 'fitting', fittingMessage)).kind, 'delivered')
      const { bytes } = await mailThatCame(site.receiver, 'fitting')
      assert.ok(bytes.length > 0.95 * sizeBytes && bytes.length <= sizeBytes, String(bytes.length))
    },
  },
  {
    title: '8-bit content stays as it is',
    servers: serverNames,
    assert: async site => {
      const { kind } = await sendOne(site, 'eight', eightBitMessage, { mail: ' BODY=8BITMIME' })
      assert.equal(kind, 'delivered')
      const { bytes, mailParameters } = await mailThatCame(site.receiver, 'eight')
      assert.ok(bytes.includes('\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n'))
      assert.equal(/\bBODY=8BITMIME\b/.test(mailParameters), passBody.includes(site.name))
    },
  },
  {
    title: 'a UTF-8 recipient and header go with SMTPUTF8',
    servers: withUtf8,
    assert: async site => {
      assert.equal((await sendUtf8(site, 'jürgen', 'Grüße')).kind, 'delivered')
      const mail = await mailThatCame(site.receiver, 'jürgen')
      assert.match(mail.mailParameters, /\bSMTPUTF8\b/)
      assert.ok(mail.bytes.includes('Subject: Grüße\r\n'))
    },
  },
  {
    title: 'without SMTPUTF8 it gets what needs none, and the rest bounces with 5.6.7',
    servers: withoutUtf8,
    assert: async site => {
      const recipient = await sendUtf8(site, 'jürgen', 'Greetings')
      const header = await sendUtf8(site, 'header', 'Grüße')
      const nothing = await sendUtf8(site, 'nothing', 'Greetings')
      assert.deepEqual(
        [recipient, header].map(({ kind, enhancedCode, scope }) => [kind, enhancedCode, scope]),
        [
          ['bounced', '5.6.7', 'recipient'],
          ['bounced', '5.6.7', 'content'],
        ],
      )
      assert.equal(nothing.kind, 'delivered')
      await mailThatCame(site.receiver, 'nothing')
    },
  },
  {
    title: 'DSN parameters reach it and go on from there',
    servers: serverNames,
    assert: async site => {
      const mail = ' RET=HDRS ENVID=QQ+2B314'
      const rcpt = ` NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bx@${site.domain}`
      assert.equal((await sendOne(site, 'dsn', message(), { mail, rcpt })).kind, 'delivered')
      const came = await mailThatCame(site.receiver, 'dsn')
      assert.match(came.mailParameters, /\bRET=HDRS\b/)
      assert.match(came.mailParameters, /\bENVID=QQ\+2B314(?: |$)/)
      assert.match(came.rcptParameters[0]!, /\bNOTIFY=SUCCESS,FAILURE\b/)
      assert.ok(came.rcptParameters[0]!.includes(`ORCPT=rfc822;bob+2Bx@${site.domain}`))
    },
  },
  {
    title: 'its trace fields name the way that the mails took',
    servers: serverNames.filter(name => name !== 'smtp-server'),
    assert: async ({ receiver, isTls }) => {
      const way = isTls ? /\bwith (?:utf8)?e?smtps\b/i : /\bwith (?:utf8)?e?smtp\b/i
      for (const { trace } of await receiver.waitFor(1)) assert.match(trace.toString('latin1'), way)
    },
  },
]

interface Parameters {
  readonly mail?: string
  readonly rcpt?: string
}

/** The outcomes by recipient, each of which must say how the mail went. */
async function send(
  { house, client, isTls }: Site,
  to: readonly string[],
  content: string,
  parameters: Parameters = {},
): Promise<ReadonlyMap<string, ShownEvent>> {
  const reply = await client.send('ann@acme.example', to, content, parameters)
  const found = await outcomes(house, queuedId(reply), to.length)
  for (const { outcome } of found.values()) assert.match(String(outcome!.tls), isTls ? /^TLSv1\.3 / : /^$/)
  return found
}

async function sendOne(
  site: Site,
  user: string,
  content: string,
  parameters: Parameters = {},
): Promise<ShownOutcome> {
  const to = `${user}@${site.domain}`
  return (await send(site, [to], content, parameters)).get(to)!.outcome!
}

function sendUtf8(site: Site, user: string, subject: string): Promise<ShownOutcome> {
  const content = message().replace('Subject: a scenario', `Subject: ${subject}`)
  return sendOne(site, user, content, { mail: ' BODY=8BITMIME SMTPUTF8' })
}

/** With the rules of `extensions.test.ts`: users ending in 0 or 7 are unknown, those ending in 5 are over quota. */
async function someOfHundred(site: Site): Promise<void> {
  const to = Array.from({ length: 100 }, (_, index) => `user${index}@${site.domain}`)
  const found = await send(site, to, message())
  const expected = (path: string): string =>
    /[07]@/.test(path) ? 'bounced 550 5.1.1' : /5@/.test(path) ? 'deferred 452 4.2.2' : 'delivered 250 2.0.0'
  const said = (path: string): string => {
    const { kind, code, enhancedCode } = found.get(path)!.outcome!
    return `${kind} ${code} ${enhancedCode}`
  }
  assert.deepEqual(to.map(said), to.map(expected))
  const bounced = found.get(to[7]!)!.outcome!
  assert.equal(bounced.stage, 'rcpt')
  assert.equal(bounced.scope, 'recipient')
  assert.match(bounced.text, /no such user here/)
  const taken = to.filter(path => expected(path).startsWith('delivered'))
  assert.deepEqual(await recipientsThatCame(site.receiver, 'user', taken.length), taken.sort())
  const log = await site.receiver.log()
  assert.match(log, new RegExp(`from=<ann@acme\\.example>, .*nrcpt=${taken.length} `))
}
