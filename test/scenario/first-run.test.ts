// Situation: somebody starts Postrider for the first time, without a configuration, and does what the README says.
//
// The server has a network of its own, since a first run takes the ports that are printed everywhere (2525, 2587, 2465).
// The printed command is pasted as it stands; what became of it is asked with the commands of docs/start/first-message.md;
// then the magic addresses go wrong as they promise, and a bounce comes back as mail once the stream says so.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { dkimVerify } from 'mailauth'
import { needsMachine } from '../support/needs-machine.ts'
import { nodePath, Postrider } from '../support/postrider.ts'
import { FarSide } from './support/far-side.ts'
import { type ShownMessage, typesOf, waitForAll, waitForEvents } from './support/house.ts'

const run = promisify(execFile)
const main = new URL('../../src/main.ts', import.meta.url).pathname
const networkOfItsOwn = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
const idPattern = /msg_[a-z2-7]{26}/

interface InboxRow {
  readonly id: string
  readonly host: string
  readonly reversePath: string
  readonly recipients: readonly string[]
  readonly subject: string
  readonly isTls: boolean
}

/** What a magic address promises: the events of its message in order, and the outcome that its last attempt had. */
interface Promised {
  readonly events: readonly string[]
  readonly code: number
  readonly enhancedCode: string
  readonly stage: string
  readonly text?: string
}

const bounced = ['accepted', 'bounced']
const deferred = ['accepted', 'deferred']
const delivered = ['accepted', 'delivered']

/** Each is sent in a message of its own; docs/reference/lab.md has the words. */
const promises: Readonly<Record<string, Promised>> = {
  'accept@inbox.test': { events: delivered, code: 250, enhancedCode: '2.0.0', stage: 'data' },
  'slow-1@inbox.test': { events: delivered, code: 250, enhancedCode: '2.0.0', stage: 'data' },
  'defer@inbox.test': { events: deferred, code: 451, enhancedCode: '4.3.0', stage: 'rcpt' },
  'greylist@inbox.test': { events: deferred, code: 451, enhancedCode: '4.7.1', stage: 'rcpt' },
  'full@inbox.test': { events: deferred, code: 452, enhancedCode: '4.2.2', stage: 'rcpt' },
  'data-451@inbox.test': { events: deferred, code: 451, enhancedCode: '4.3.0', stage: 'data' },
  'bounce@inbox.test': { events: bounced, code: 550, enhancedCode: '5.1.1', stage: 'rcpt' },
  'bounce-550-5.7.1+not_wanted_here@inbox.test': {
    events: bounced,
    code: 550,
    enhancedCode: '5.7.1',
    stage: 'rcpt',
    text: 'not wanted here',
  },
  'over-quota@inbox.test': { events: bounced, code: 552, enhancedCode: '5.2.2', stage: 'rcpt' },
  'disabled@inbox.test': { events: bounced, code: 550, enhancedCode: '5.2.1', stage: 'rcpt' },
  'content-554-5.6.0@inbox.test': { events: bounced, code: 554, enhancedCode: '5.6.0', stage: 'data' },
  'spam@inbox.test': { events: bounced, code: 554, enhancedCode: '5.7.1', stage: 'data' },
  'you@null-mx.test': { events: bounced, code: 556, enhancedCode: '5.1.10', stage: 'resolve' },
}

const options = needsMachine(FarSide.hasCables, 'network namespaces or no root')
let server: Postrider

before(async () => {
  if (options.skip !== false) return
  server = await Postrider.launch({ toml: null, wrapper: networkOfItsOwn })
  for (let passes = 0; !server.output.includes('Then: npx postrider'); passes++) {
    assert.ok(passes < 1200, `no printed command in a minute: ${server.output}`)
    await sleep(50)
  }
})
after(async () => await server?.[Symbol.asyncDispose]())

/** Runs a command where the server is. */
async function there(...command: readonly string[]): Promise<string> {
  const args = [`--target=${server.processId}`, '--net', ...command]
  const { stdout } = await run('nsenter', args, { cwd: server.folder })
  return stdout
}

async function send(to: string, ...more: readonly string[]): Promise<string> {
  const stdout = await there(nodePath, main, 'send', '--from', 'me@example.test', '--to', to, ...more)
  return idPattern.exec(stdout)![0]
}

const show = (id: string) =>
  server.json<ShownMessage & Record<string, never>>('message', 'show', id) as Promise<ShownMessage>

const inbox = async () => (await server.json<never>('lab', 'inbox', 'list')) as readonly InboxRow[]

const ids = async () =>
  ((await server.json<never>('message', 'list')) as readonly { id: string }[]).map(({ id }) => id)

/** Waits until the lab has a message for this recipient, and gives it as it came. */
async function arrived(recipient: string): Promise<{ row: InboxRow; content: string }> {
  for (let passes = 0; passes < 300; passes++) {
    const row = (await inbox()).find(one => one.recipients.includes(recipient))
    if (row !== undefined) {
      const shown = await server.command('lab', 'inbox', 'show', '--raw', row.id)
      assert.equal(shown.code, 0, shown.stderr)
      return { row, content: shown.stdout }
    }
    await sleep(100)
  }
  throw new Error(`nothing for ${recipient} came: ${JSON.stringify(await inbox())}`)
}

/** What an independent verifier says of each signature, with the records that the operator would publish. */
async function verdicts(content: string): Promise<string[]> {
  const { records } = await server.json<{ records: { name: string; value: string }[] }>(
    'domain',
    'show',
    'example.test',
  )
  const { results } = await dkimVerify(Buffer.from(content, 'latin1'), {
    resolver: async name => {
      const found = records.filter(record => record.name === name)
      if (found.length === 0) throw Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' })
      return found.map(({ value }) => [value])
    },
  })
  return results.map(one => `${one.signingDomain} ${one.algo} ${one.status.result}`).sort()
}

const bothPass = ['example.test ed25519-sha256 pass', 'example.test rsa-sha256 pass']

test(
  'the last thing on the screen is the command to paste, behind the lines of the log',
  options,
  async () => {
    await sleep(500)
    const rest = server.output.slice(server.output.indexOf('Then: npx postrider'))
    assert.doesNotMatch(rest, /"(listener\.open|server\.ready)"/)
  },
)

test(
  'the printed command sends a message, and the timeline, the inbox and both signatures tell of it',
  options,
  async () => {
    const printed = /Send a first message[^\n]*\n\n(?<command>[\s\S]*?)\n\nThen:/.exec(server.output)
    assert.ok(printed, server.output)
    const answer = await there('sh', '-c', printed.groups!['command']!)
    assert.match(answer, /^< 250 2\.0\.0 Queued as msg_[a-z2-7]{26}\r?\n$/)
    const id = idPattern.exec(answer)![0]
    await waitForAll(server, [id], 'delivered')

    const { code, stdout } = await server.command('message', 'show', id)
    assert.equal(code, 0)
    for (const part of [
      `${id}\nfrom      me@example.test\naccount   default\n`,
      /^you@inbox\.test +delivered +1 +delivered \(recipient\)$/m,
      /^\S+ {2}accepted by smtp from .*\[127\.0\.0\.1\] as crd_\w+ over TLSv1\.3 /m,
      /^ {4}signed by d=example\.test s=\S+-rsa, d=example\.test s=\S+-ed$/m,
      /^\S+ {2}delivered attempt 1 to mx\d\.lab\.test \[127\.77\.\d\.\d:\d+\] over TLSv1\.3 /m,
      /^ {4}250 2\.0\.0 Kept as lab_1$/m,
    ])
      assert.ok(typeof part === 'string' ? stdout.includes(part) : part.test(stdout), `${part} in\n${stdout}`)

    const { row, content } = await arrived('you@inbox.test')
    assert.deepEqual(
      [row.id, row.reversePath, row.subject, row.isTls],
      ['lab_1', 'me@example.test', 'Hello from Postrider', true],
    )
    assert.match(content, /\r\n\r\nIt works\.\r\n$/)
    assert.deepEqual(await verdicts(content), bothPass)
  },
)

test(
  'the printed command is refused, with the reason, when the sender is not of the domain',
  options,
  async () => {
    const other = ['send', '--from', 'me@other.test', '--to', 'you@inbox.test']
    await assert.rejects(there(nodePath, main, ...other), /550 5\.7\.1 .*other\.test/)
  },
)

test('magic addresses are deferred, bounced and delivered as their page says', options, async t => {
  const sent = new Map<string, string>()
  for (const address of Object.keys(promises)) sent.set(address, await send(address))
  const decided = ['delivered', 'deferred', 'bounced']
  const events = await waitForEvents(server, all =>
    [...sent.values()].every(id => all.some(one => one.messageId === id && decided.includes(one.type))),
  )
  for (const [address, promised] of Object.entries(promises))
    await t.test(address, async () => {
      const id = sent.get(address)!
      assert.deepEqual(typesOf(events, id), promised.events)
      const { outcome } = events.findLast(one => one.messageId === id)!
      assert.deepEqual(
        [outcome!.code, outcome!.enhancedCode, outcome!.stage],
        [promised.code, promised.enhancedCode, promised.stage],
      )
      if (promised.text !== undefined) assert.equal(outcome!.text, promised.text)
      const [recipient] = (await show(id)).recipients
      assert.equal(
        recipient!.state,
        promised.events.at(-1) === 'deferred' ? 'scheduled' : promised.events.at(-1),
      )
    })
})

test('defer-2 is taken at the third attempt, which `queue retry` brings forward twice', options, async () => {
  const id = await send('defer-2+again@inbox.test')
  for (const deferrals of [1, 2]) {
    await waitForEvents(
      server,
      all => typesOf(all, id).filter(type => type === 'deferred').length === deferrals,
    )
    const { code, stderr } = await server.command('queue', 'retry', '--all', '--yes')
    assert.equal(code, 0, stderr)
  }
  const events = await waitForAll(server, [id], 'delivered')
  assert.deepEqual(
    typesOf(events, id).filter(type => type !== 'retried'),
    ['accepted', 'deferred', 'deferred', 'delivered'],
  )
})

test('with event+dsn a bounce comes back as a report from the null sender', options, async () => {
  const set = ['stream', 'update', 'default', '--account', 'default', '--failure-report', 'event+dsn']
  const { code, stderr } = await server.command(...set)
  assert.equal(code, 0, stderr)
  const id = await send('bounce+reported@inbox.test', '--subject', 'A message that bounces')
  const { row, content } = await arrived('me@example.test')
  assert.equal(row.reversePath, '')
  assert.match(content, /^Content-Type: multipart\/report;\s+report-type=delivery-status/im)
  assert.match(content, /^Final-Recipient: rfc822; ?bounce\+reported@inbox\.test\r$/m)
  assert.match(content, /^Action: failed\r$/m)
  assert.match(content, /^Status: 5\.1\.1\r$/m)
  assert.match(content, /^Diagnostic-Code: smtp; ?550 5\.1\.1 There is no such mailbox here/m)
  assert.match(content, /^Subject: A message that bounces\r$/m)
  assert.deepEqual(typesOf(await waitForAll(server, [id], 'bounced'), id), bounced)
})

test(
  'SIGTERM ends it with 0, and a second start prints no command and still has everything',
  options,
  async () => {
    const known = await ids()
    assert.equal(await server.stop(), 0)
    const again = await Postrider.launch({ toml: null, folder: server.folder, wrapper: networkOfItsOwn })
    server = again
    for (let passes = 0; !again.output.includes('server.ready'); passes++) {
      assert.ok(passes < 1200, again.output)
      await sleep(50)
    }
    assert.doesNotMatch(again.output, /Send a first message/)
    assert.deepEqual(await ids(), known)
    await send('you@inbox.test')
  },
)
