// Situation: addresses and parameters that try to become commands, recipients or routes.
//
// Two receivers stand behind us: `ok.example` has a route of its own, everything else goes to the other one. What counts
// is who was called, and with which commands.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { queuedId } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let wanted: Receiver
let evil: Receiver
let house: House

before(async () => {
  wanted = await Receiver.start()
  evil = await Receiver.start()
  const own = wanted.route.replace('"*"', '"ok.example"')
  house = await House.open(own + evil.route)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await wanted[Symbol.asyncDispose]()
  await evil[Symbol.asyncDispose]()
})

const badPaths = [
  ['a second path behind a parameter', '<u@ok.example> SIZE=1 <v@evil.example>'],
  ['a parameter and a second path inside', '<u@ok.example> SIZE=1 <c@d.example'],
  ['two paths with a comma', '<u@ok.example>,<v@evil.example>'],
  ['two paths without a comma', '<u@ok.example><v@evil.example>'],
  ['a bracket in the local part', '<u>v@evil.example>'],
  ['a space in the domain', '<u@ok.example v@evil.example>'],
  ['a NUL', '<u\0@ok.example>'],
  ['a NUL in quotes', '<"u\0v"@ok.example>'],
  ['a bare CR and a command', '<u@ok.example>\rRCPT TO:<v@evil.example>'],
  ['a bare CR in quotes', '<"u\rRCPT TO:<v@evil.example>"@ok.example>'],
  ['a C1 control character', '<u\x85@ok.example>'],
  ['a vertical tab', '<u\x0bv@ok.example>'],
] as const

for (const [name, path] of badPaths) {
  test(`MAIL and RCPT with ${name} are refused`, async () => {
    await using client = await house.client()
    client.write(Buffer.from(`MAIL FROM:${path.replaceAll('ok.example', 'acme.example')}\r\n`, 'latin1'))
    assert.match((await client.reply()).text, /^5(?:00|01|50|53|55) 5\./)
    assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
    client.write(Buffer.from(`RCPT TO:${path}\r\n`, 'latin1'))
    assert.match((await client.reply()).text, /^5(?:00|01|50|53|55) 5\./)
    assert.equal((await client.command('DATA')).code, 503, 'no recipient was taken')
  })
}

test('a quoted local part that looks like an address goes to the domain behind it, and nowhere else', async () => {
  await using client = await house.client()
  const path = '"x@evil.example y"@ok.example'
  const id = queuedId(await client.send('ann@acme.example', path, message()))
  await waitForAll(house.server, [id], 'delivered')
  assert.deepEqual(wanted.messages.at(-1)!.to, [path])
  assert.equal(evil.sessions, 0)
})

test('ORCPT of another domain is passed on and routes nothing', async () => {
  await using client = await house.client()
  const rcpt = ' ORCPT=rfc822;v@evil.example NOTIFY=FAILURE'
  const id = queuedId(await client.send('ann@acme.example', 'u@ok.example', message(), { rcpt }))
  await waitForAll(house.server, [id], 'delivered')
  const last = wanted.messages.at(-1)!
  assert.deepEqual(last.to, ['u@ok.example'])
  assert.match(last.toParameters[0]!, /ORCPT=rfc822;v@evil\.example/)
  assert.equal(evil.sessions, 0)
})

test('encoded line ends in ENVID, ORCPT and AUTH never become lines', async () => {
  await using client = await house.client()
  for (const [mail, rcpt] of [
    [' ENVID=a+0D+0ARCPT+20TO:<v@evil.example>', ''],
    ['', ' ORCPT=rfc822;a+0D+0ARCPT+20TO:<v@evil.example>'],
    [' AUTH=a@b.example+0D+0ARSET', ''],
    [' ENVID=a+00b', ''],
  ] as const) {
    const reply = await client.send('ann@acme.example', 'u@ok.example', message(), { mail, rcpt })
    if (reply.code === 250) await waitForAll(house.server, [queuedId(reply)], 'delivered')
    else assert.match(reply.text, /^5\d\d 5\./)
    await client.command('RSET')
  }
  assert.deepEqual(
    wanted.commands.filter(line => line.startsWith('RCPT') && !line.startsWith('RCPT TO:<u@ok.example>')),
    ['RCPT TO:<"x@evil.example y"@ok.example>'],
  )
  assert.equal(evil.sessions, 0)
})

test('each accepted RCPT is one recipient, repeated ones too, and no other appears', async () => {
  await using client = await house.client()
  const to = ['a@ok.example', 'b@ok.example', 'a+tag@ok.example', "o'neil@ok.example", '"b c"@ok.example']
  const id = queuedId(await client.send('ann@acme.example', to, message(['Cc: <v@evil.example>'])))
  const events = await waitForAll(house.server, [id], 'delivered')
  const accepted = events.find(event => event.messageId === id && event.type === 'accepted')
  assert.deepEqual((accepted as unknown as { forwardPaths: string[] }).forwardPaths, to)
  await wanted.waitFor(() => to.every(path => wanted.messages.some(one => one.to.includes(path))))
  assert.equal(evil.sessions, 0)
})

test('long local parts, as SRS and VERP make them, pass in both paths up to 254 octets of address, and no further', async () => {
  await using client = await house.client()
  const sender = `SRS0=fGv9=BC=forwarder.example=bounce-${'4IDNASXYtY'.repeat(8)}`
  const recipient = 'r'.repeat(254 - '@ok.example'.length)
  queuedId(await client.send(`${sender}@acme.example`, `${recipient}@ok.example`, message()))
  await wanted.waitFor(() => wanted.messages.some(one => one.from === `${sender}@acme.example`))
  const { to } = wanted.messages.find(one => one.from === `${sender}@acme.example`)!
  assert.deepEqual(to, [`${recipient}@ok.example`])
  assert.equal((await client.command('MAIL FROM:<ann@acme.example>')).code, 250)
  const tooLong = await client.command(`RCPT TO:<r${recipient}@ok.example>`)
  assert.match(tooLong.text, /^501 5\.1\.3 .*longer than 25[46] octets/)
})
