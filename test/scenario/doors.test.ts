// Situation: relay doors for networks without a login, doors behind proxies, and a door whose account is not there yet.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { freePort, Postrider } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { type Login, makeAccount, message, type ShownEvent, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

type DoorName = 'own' | 'any' | 'late' | 'proxied' | 'both' | 'shown' | 'devices'

let receiver: Receiver
let server: Postrider
let login: Login
const ports = new Map<DoorName, number>()

const sections: Readonly<Record<DoorName, string>> = {
  own: 'kind = "relay"\nnetworks = ["127.0.5.0/24", "127.0.6.1"]\naccount = "acme"',
  any: 'kind = "relay"\nnetworks = ["127.0.5.0/24"]\naccount = "acme"\nsenders = "any"',
  late: 'kind = "relay"\nnetworks = ["127.0.5.0/24"]\naccount = "late"',
  proxied: 'kind = "relay"\nproxy_protocol = ["127.0.7.0/24"]\nnetworks = ["192.0.2.0/24"]\naccount = "acme"',
  both: 'kind = "submission"\nproxy_protocol = true',
  shown:
    'kind = "relay"\nnetworks = ["127.0.5.0/24"]\naccount = "acme"\nshow_client_address = true\nlong_lines = "encode"',
  devices: 'kind = "relay"\nnetworks = ["127.0.5.0/24"]\naccount = "acme"\nbare_lf = "mend"',
}

before(async () => {
  receiver = await Receiver.start()
  let toml = receiver.route
  for (const [name, section] of Object.entries(sections)) {
    const port = await freePort()
    ports.set(name as DoorName, port)
    toml += `[[listener]]\naddress = "127.0.0.1:${port}"\n${section}\n`
  }
  server = await Postrider.start({ toml })
  login = await makeAccount(server, 'acme', 'acme.example')
})
after(async () => {
  await server[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

const inside = '127.0.5.9'

async function clientOf(door: DoorName, localAddress: string): Promise<SmtpClient> {
  const client = await SmtpClient.connect(ports.get(door)!, { localAddress })
  await client.hello()
  return client
}

async function delivered(id: string): Promise<{ readonly text: string; readonly accepted: ShownEvent }> {
  const events = await waitForAll(server, [id], 'delivered')
  const found = receiver.messages.find(one => one.content.includes(id))!
  const accepted = events.find(event => event.messageId === id && event.type === 'accepted')!
  return { text: found.content.toString(), accepted }
}

test('a named network sends without TLS and login, for the account that the door names', async () => {
  await using client = await clientOf('own', inside)
  const { accepted } = await delivered(
    queuedId(await client.send('ann@acme.example', 'u@there.example', message())),
  )
  assert.equal(accepted.clientAddress, inside)
  const [account] = await server.json<{ id: string; name: string }[]>('account', 'list')
  assert.equal(accepted.account, account!.id)
})

test('a single address is a network too, and its neighbour is a stranger', async () => {
  await using one = await clientOf('own', '127.0.6.1')
  assert.equal((await one.command('MAIL FROM:<ann@acme.example>')).code, 250)
  await using neighbour = await clientOf('own', '127.0.6.2')
  assert.match((await neighbour.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
})

test('outside of the networks a login is asked for, and works', async () => {
  await using client = await SmtpClient.connect(ports.get('own')!)
  await client.login(login.username, login.secret)
  queuedId(await client.send('ann@acme.example', 'u@there.example', message()))
})

test('senders = "own" refuses foreign addresses of a network, and lets the null reverse-path pass', async () => {
  await using client = await clientOf('own', inside)
  assert.match((await client.command('MAIL FROM:<x@foreign.example>')).text, /^550 5\.7\.1 /)
  const foreign = message().replace('ann@acme.example', 'x@foreign.example')
  const foreignSender = message(['Sender: x@foreign.example'])
  for (const text of [foreign, foreignSender])
    assert.match((await client.send('ann@acme.example', 'u@there.example', text)).text, /^550 5\.7\.1 /)
  queuedId(await client.send('', 'u@there.example', message()))
})

test('what a network was before STARTTLS is not what its messages tell: Received says ESMTPS', async () => {
  await using client = await clientOf('own', inside)
  assert.equal((await client.command('MAIL FROM:<x@foreign.example>')).code, 550)
  client.write('STARTTLS\r\n')
  await client.expect(220)
  await client.handshake()
  await client.hello()
  const { text, accepted } = await delivered(
    queuedId(await client.send('ann@acme.example', 'u@there.example', message())),
  )
  assert.match(text, /^Received: from client\.example(?:.|\r\n[ \t])* with ESMTPS\s/)
  assert.match(accepted.tls!, /^TLSv1\.3 /)
})

test('senders = "any" lets a network forward bounces and foreign senders, with one From all the same', async () => {
  await using client = await clientOf('any', inside)
  const foreign = message(['Sender: z@third.example']).replace('ann@acme.example', 'x@foreign.example')
  queuedId(await client.send('y@elsewhere.example', 'u@there.example', foreign))
  queuedId(await client.send('', 'u@there.example', foreign))
  assert.match((await client.send('', 'u@there.example', 'Subject: no From\r\n\r\nx')).text, /^550 5\.6\.0 /)
})

test('a client with a login at a door for any sender still sends as its own domains only', async () => {
  await using client = await clientOf('any', inside)
  await client.startTls()
  const token = Buffer.from(`\0${login.username}\0${login.secret}`).toString('base64')
  assert.equal((await client.command(`AUTH PLAIN ${token}`)).code, 235)
  assert.match((await client.command('MAIL FROM:<x@foreign.example>')).text, /^550 5\.7\.1 /)
})

test('the client’s address stays out of the Received header unless the door shows it', async () => {
  await using hidden = await clientOf('own', inside)
  const without = await delivered(
    queuedId(await hidden.send('ann@acme.example', 'u@there.example', message())),
  )
  assert.ok(!without.text.includes(inside))
  await using shown = await clientOf('shown', inside)
  const having = await delivered(queuedId(await shown.send('ann@acme.example', 'u@there.example', message())))
  const [received] = /^Received: (?:.|\r\n[ \t])*/.exec(having.text) ?? ['']
  assert.ok(received.includes(`[${inside}]`), received)
})

test('long_lines and bare_lf of a door count for its networks', async () => {
  await using shown = await clientOf('shown', inside)
  queuedId(await shown.send('ann@acme.example', 'u@there.example', message([], 'x'.repeat(1200))))
  await using devices = await clientOf('devices', inside)
  const mended = await devices.send('ann@acme.example', 'u@there.example', message().replaceAll('\r\n', '\n'))
  const { text } = await delivered(queuedId(mended))
  assert.doesNotMatch(text, /(?<!\r)\n/)
})

test('a relay door without networks needs no account, and nobody is told to make one', async () => {
  await using bare = await Postrider.start({
    toml: '[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\n',
  })
  assert.doesNotMatch(bare.output, /account-missing/)
})

test('a door whose account is missing answers 451 with the command, and works once the account is made', async () => {
  assert.match(server.output, /listener\.account-missing.*"address":"127\.0\.0\.1:\d+","account":"late"/)
  await using client = await clientOf('late', inside)
  const reply = await client.command('MAIL FROM:<ann@late.example>')
  assert.match(reply.text, /^451 4\.3\.5 /)
  assert.match(reply.text, /postrider account create late/)
  await server.json('account', 'create', 'late')
  await server.json('domain', 'add', '--account', 'late', '--trust', '--no-dkim', 'late.example')
  const text = message().replace('ann@acme.example', 'ann@late.example')
  await delivered(queuedId(await client.send('ann@late.example', 'u@there.example', text)))
})

const v2 = (client: string): Buffer => {
  const address = Buffer.from(client.split('.').map(Number))
  const tail = Buffer.concat([address, Buffer.from([10, 0, 0, 1]), Buffer.from([0x9c, 0x40, 0, 25])])
  const magic = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  return Buffer.concat([magic, Buffer.from([0x21, 0x11, 0, tail.length]), tail])
}
const v1 = (client: string): string => `PROXY TCP4 ${client} 10.0.0.1 40000 25\r\n`

const headers: readonly (readonly [name: string, header: (client: string) => string | Buffer])[] = [
  ['v1', v1],
  ['v2', v2],
]
for (const [name, header] of headers) {
  test(`a PROXY header ${name} from a named proxy tells the client’s address`, async () => {
    const port = ports.get('proxied')!
    await using client = await SmtpClient.connect(port, {
      localAddress: '127.0.7.1',
      before: header('192.0.2.7'),
    })
    await client.hello()
    const reply = await client.send('ann@acme.example', 'u@there.example', message())
    const { accepted, text } = await delivered(queuedId(reply))
    assert.equal(accepted.clientAddress, '192.0.2.7')
    assert.ok(!text.includes('192.0.2.7') && !text.includes('127.0.7.1'))
  })

  test(`a PROXY header ${name} with a client outside of the networks gives no right`, async () => {
    const port = ports.get('proxied')!
    await using client = await SmtpClient.connect(port, {
      localAddress: '127.0.7.1',
      before: header('198.51.100.1'),
    })
    await client.hello()
    assert.match((await client.command('MAIL FROM:<ann@acme.example>')).text, /^530 5\.7\.0 /)
  })

  test(`a PROXY header ${name} from an address that is not named is not believed`, async () => {
    const port = ports.get('proxied')!
    await using client = await SmtpClient.connect(port, { localAddress: '127.0.8.1' })
    client.write(header('192.0.2.7'))
    const reply = await client.replyOrEnd()
    assert.ok(reply === null || reply.code >= 500, `got ${reply?.code}`)
    client.write('EHLO x\r\nMAIL FROM:<ann@acme.example>\r\n')
    for (let next = await client.replyOrEnd(); next !== null; next = await client.replyOrEnd()) {
      if (next.code !== 250) break
      assert.ok(!next.text.includes('Sender ok'))
    }
  })
}

test('a named proxy that sends no header is not greeted, and an un-named address needs none', async () => {
  await using proxy = await SmtpClient.open(ports.get('proxied')!, { localAddress: '127.0.7.1' })
  proxy.write('EHLO x\r\n')
  assert.equal(await proxy.replyOrEnd(), null)
  await using direct = await SmtpClient.connect(ports.get('proxied')!, { localAddress: '127.0.8.2' })
  await direct.hello()
})

test('proxy_protocol = true means a proxy on this machine, for a submission door with TLS and login too', async () => {
  await using client = await SmtpClient.connect(ports.get('both')!, { before: v1('203.0.113.9') })
  await client.login(login.username, login.secret)
  const reply = await client.send('ann@acme.example', 'u@there.example', message())
  const { accepted } = await delivered(queuedId(reply))
  assert.equal(accepted.clientAddress, '203.0.113.9')
})
