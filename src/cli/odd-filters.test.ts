// Filters of the control socket and of the command line with odd bytes: each is refused or matches nothing; none ever
// means everything, and no action changes anything by it.

import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { type ControlClient, type ControlOutcome, connectControl } from '../api/control/index.ts'
import { openBed, run } from './test-kit.ts'

let bed: Awaited<ReturnType<typeof openBed>>
let client: ControlClient
let messageId: string
before(async () => {
  bed = await openBed()
  const connected = await connectControl(bed.serverPath)
  assert.ok(connected.ok)
  client = connected.client
  await client.call('account.create', { name: 'acme' })
  messageId = (await bed.accept({ to: ['u@ok.example', 'v@ok.example', 'w@other.example'] })).text
})
after(async () => {
  client[Symbol.dispose]()
  await bed[Symbol.asyncDispose]()
})

const oddTexts: readonly (readonly [name: string, text: string])[] = [
  ['CR LF and a command', 'ok.example\r\nRCPT TO:<v@evil.example>'],
  ['a bare CR', 'ok.example\r'],
  ['a bare LF', 'ok.example\n'],
  ['a NUL', 'ok.example\0'],
  ['a NUL first', '\0ok.example'],
  ['a space', 'ok.example '],
  ['a tab', '\tok.example'],
  ['percent signs', 'ok%2eexample'],
  ['an encoded line end', 'ok.example%0d%0a'],
  ['a pattern', '%'],
  ['a pattern of one letter', 'ok_example'],
  ['an asterisk', '*'],
  ['quotes', `ok.example' OR '1'='1`],
  ['a comment', `ok.example'--`],
  ['double quotes', '"ok.example"'],
  ['angle brackets', '<>'],
  ['an address', 'u@ok.example'],
  ['a full-width dot', 'ok．example'],
  ['a soft hyphen', 'ok\u00ad.example'],
  ['a direction mark', 'ok.example\u202e'],
  ['a lone surrogate', 'ok.example\ud800'],
  ['an escape', '\u001b[2Jok.example'],
  ['a dot at the end', 'ok.example.'],
  ['a megabyte', 'a'.repeat(1_000_000)],
  ['nothing', ''],
]

const oddValues: readonly (readonly [name: string, value: unknown])[] = [
  ['null', null],
  ['true', true],
  ['a number', 1],
  ['a list', ['ok.example']],
  ['an object', { like: '%' }],
]

const filters = ['account', 'domain', 'message', 'recipient', 'state'] as const

/** Refused in words that are fit for a terminal. */
function assertRefused(outcome: ControlOutcome, what: string): void {
  assert.ok(!outcome.ok, `${what} was taken`)
  const { code, message, hint } = outcome.error
  assert.match(code, /^(invalid|not-found)$/, what)
  assert.ok(message !== '' && hint !== '' && message.length < 400, what)
}

async function states(): Promise<unknown[]> {
  const outcome = await client.call('queue.list', {})
  assert.ok(outcome.ok)
  const { items } = outcome.value as { items: { recipientId: string; state: string }[] }
  return items.map(row => [row.recipientId, row.state])
}

for (const filter of filters)
  test(`a filter by ${filter} with odd bytes is refused, and acts on nothing`, async () => {
    const calm = await states()
    assert.equal(calm.length, 3)
    for (const [name, value] of [...oddTexts, ...oddValues]) {
      for (const command of ['queue.list', 'queue.count', 'message.list'])
        assertRefused(await client.call(command, { [filter]: value }), `${command} by ${filter}: ${name}`)
      for (const action of ['hold', 'expire'])
        assertRefused(await client.call('queue.act', { action, [filter]: value }), `${action}: ${name}`)
    }
    assert.deepEqual(await states(), calm)
  })

test('a recipient whose number is missing, mistyped or no one can have is refused, and nobody else is meant', async () => {
  const next = (await bed.accept({ to: ['x@ok.example'] })).text
  const calm = await states()
  assert.deepEqual(calm.at(-1), [`${next}.0`, 'scheduled'])
  for (const tail of ['.', '. 1', '.1e0', '.0x1', '.01', '.65536']) {
    const recipient = messageId + tail
    assertRefused(await client.call('queue.act', { action: 'expire', recipient }), JSON.stringify(recipient))
    const { code } = await run(['queue', 'expire', recipient], { cwd: bed.dataDir })
    assert.notEqual(code, 0, JSON.stringify(recipient))
  }
  assert.deepEqual(await states(), calm)
  assert.ok((await client.call('queue.act', { action: 'expire', recipient: `${next}.0` })).ok)
})

test('a cursor that no list gave is refused: as "from the beginning" it would make an endless round', async () => {
  for (const cursor of [
    'x',
    '1e3',
    '-1',
    '0x10',
    '1.5',
    ' 1',
    '1\n',
    '9'.repeat(16),
    '9'.repeat(40),
    null,
    7,
  ])
    for (const command of ['queue.list', 'message.list'])
      assertRefused(await client.call(command, { cursor }), `${command} ${String(cursor)}`)
})

test('a reroute to a smarthost with odd bytes is refused', async () => {
  const calm = await states()
  for (const smarthost of [
    'a.example:25\r\nX',
    'a.example:25\0',
    '\na.example:25',
    'a.example\r:25',
    'smtps://a.example:465\r\n',
    '[::1%lo\r\n]:25',
    '[fe80::1%eth0]:25',
    'smtps://[fe80::1%2]:465',
    'a.example:25 ',
    'u:p@a.example:25',
    'a%0d%0a.example:25',
    null,
  ])
    assertRefused(
      await client.call('queue.act', { action: 'reroute', smarthost, domain: 'ok.example' }),
      JSON.stringify(smarthost),
    )
  assert.deepEqual(await states(), calm)
})

test('a note may say anything, and is shown without its control characters', async () => {
  const note = 'Bob\r\nsays \u001b[2J "no"\0\u202e'
  const given = { action: 'hold', note, domain: 'other.example' }
  assert.ok((await client.call('queue.act', given)).ok)
  const shown = await bed.run('queue list --state held')
  assert.match(shown.stdout, /Bob\\x0d\\x0asays \\x1b\[2J "no"\\x00\\u202e/)
  assert.equal(shown.stdout.split('\n').length, 3, 'a title, a row, the end')
  assert.ok((await client.call('queue.act', { action: 'release', state: 'held' })).ok)
})

test('names of accounts and domains with odd bytes are refused', async () => {
  for (const [name, text] of oddTexts) {
    // These two are names of accounts, and a domain may end in its dot.
    if (text !== 'ok_example' && text !== 'ok.example.')
      assertRefused(await client.call('account.create', { name: text }), `account ${name}`)
    if (text === 'ok.example.') continue
    assertRefused(await client.call('domain.add', { account: 'acme', domain: text }), `domain ${name}`)
  }
})

test('on the command line too, in one line that a terminal can show', async () => {
  for (const [name, text] of oddTexts) {
    if (text.includes('\0') || text.length > 100_000) continue // no process can be given these
    for (const filter of filters) {
      const argv = ['queue', 'expire', '--yes', `--${filter}=${text}`]
      const { code, stderr } = await run(argv, { cwd: bed.dataDir })
      assert.notEqual(code, 0, `${filter}: ${name}`)
      assert.doesNotMatch(stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, `${filter}: ${name}`)
      assert.ok(stderr.split('\n').length <= 3, stderr)
    }
  }
  assert.equal((await states()).length, 3)
})

test('bytes that are no request are answered in one line each, and the connection goes on', async () => {
  const socket = net.connect(bed.serverPath)
  let said = ''
  socket.on('data', chunk => {
    said += chunk.toString('latin1')
  })
  const bad = ['\r', '\0', '{"id":1,\0"command":"queue.count"}', '"\\u0000"', '[]', 'GET / HTTP/1.1\r']
  for (const line of bad) socket.write(`${line}\n`, 'latin1')
  socket.write(Buffer.from('{"id":2,"command":"queue.count","arguments":{"account":"\xff\xfe"}}\n', 'latin1'))
  socket.write('{"id":3,"command":"queue.count","arguments":{"__proto__":{"state":"held"}}}\n')
  socket.write(`{"id":4,"command":"queue.count","arguments":{"message":"${messageId}"}}\n`)
  while (!said.includes('"id":4')) await new Promise(resolve => setTimeout(resolve, 10))
  socket.destroy()
  const answers = said
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  assert.equal(answers.filter(one => one['id'] === 0).length, bad.length)
  assert.equal((answers.at(-3)!['error'] as { code: string }).code, 'not-found')
  assert.equal((answers.at(-2)!['error'] as { code: string }).code, 'invalid')
  assert.deepEqual(answers.at(-1)!['result'], { scheduled: 3, leased: 0, held: 0 })
})
