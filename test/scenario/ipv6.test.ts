// Situation: the network speaks IPv6, alone or beside IPv4. Doors, networks, smarthosts and source addresses by IPv6.

import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { freePort } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { logged } from './support/faults.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

let receiver: Receiver
let house: House
/** Where connections to the receiver came from. */
const sources: string[] = []
let gate: net.Server
const ports = { six: 0, both: 0, apart: 0, proxied: 0 }

const relay = (address: string, networks: readonly string[], more: string = ''): string =>
  `[[listener]]\naddress = "${address}"\nkind = "relay"\naccount = "acme"\nnetworks = ${JSON.stringify(networks)}\nshow_client_address = true\n${more}`

before(async () => {
  receiver = await Receiver.start()
  gate = net.createServer(socket => {
    sources.push(socket.remoteAddress ?? '')
    const inner = net.connect(receiver.port, '127.0.0.1')
    socket.pipe(inner).pipe(socket)
    for (const one of [socket, inner]) one.on('error', () => socket.destroy())
  })
  await new Promise<void>(resolve => gate.listen(0, '::1', resolve))
  const { port } = gate.address() as net.AddressInfo
  for (const name of ['six', 'both', 'apart', 'proxied'] as const) ports[name] = await freePort()
  const listeners = [
    relay(`[::1]:${ports.six}`, ['::1/128']),
    // One socket for both families, as Node and Linux have it.
    relay(`[::]:${ports.both}`, ['127.0.0.0/8']),
    relay(`0.0.0.0:${ports.apart}`, ['127.0.0.0/8']),
    relay(`[::]:${ports.apart}`, ['::1/128']),
    relay(`[::1]:${ports.proxied}`, ['2001:db8:1::/48'], 'proxy_protocol = ["::1/128"]\n'),
  ]
  const route = `[[route]]\nrecipient_domain = "*"\nsmarthost = "[::1]:${port}"\n`
  house = await House.open(`[delivery]\nbind = ["::1"]\n${route}${listeners.join('')}`)
})
after(async () => {
  await house[Symbol.asyncDispose]()
  gate.close()
  await receiver[Symbol.asyncDispose]()
})

async function sent(port: number, host: string, options: { before?: string } = {}): Promise<string> {
  await using client = await SmtpClient.connect(port, { host, ...options })
  await client.hello()
  return (await client.send('ann@acme.example', 'bob@there.example', message())).text
}

/** The message as the receiver got it, and what the event log says of its client. */
async function arrived(reply: string): Promise<{ content: string; clientAddress: string | undefined }> {
  const id = /msg_\w+/.exec(reply)?.[0] ?? ''
  const events = await waitForAll(house.server, [id], 'delivered')
  const content = receiver.messages.find(one => one.content.includes(id))?.content.toString() ?? ''
  return {
    content,
    clientAddress: events.find(one => one.messageId === id && one.type === 'accepted')?.clientAddress,
  }
}

test('a door on an IPv6 address takes mail from its IPv6 networks, and Received names the address', async () => {
  const { content, clientAddress } = await arrived(await sent(ports.six, '::1'))
  assert.equal(clientAddress, '::1')
  assert.match(content, /^Received: from client\.example \(.*\[IPv6:::1\]\)/)
})

test('the log names doors on IPv6 addresses as the configuration writes them', () => {
  const addresses = logged(house.server.output, 'listener.open').map(({ address }) => address)
  for (const address of [`[::1]:${ports.six}`, `0.0.0.0:${ports.apart}`, `[::]:${ports.apart}`])
    assert.ok(addresses.includes(address), `${address} is not in ${addresses.join(', ')}`)
})

test('mail leaves to a smarthost by IPv6, from the IPv6 source address', async () => {
  const { content } = await arrived(await sent(ports.six, '::1'))
  assert.ok(content.length > 0)
  assert.deepEqual([...new Set(sources)], ['::1'])
})

test('a door on [::] knows IPv4 clients by their IPv4 address', async () => {
  const { content, clientAddress } = await arrived(await sent(ports.both, '127.0.0.1'))
  assert.equal(clientAddress, '127.0.0.1')
  assert.match(content, /^Received: from client\.example \(.*\[127\.0\.0\.1\]\)/)
})

test('a door on [::] asks IPv6 clients outside of its networks to log in', async () => {
  assert.match(await sent(ports.both, '::1'), /^530 /)
})

test('0.0.0.0 and [::] may be two doors on one port, each with networks of its own', async () => {
  queuedIdOf(await sent(ports.apart, '127.0.0.1'))
  queuedIdOf(await sent(ports.apart, '::1'))
})

test('the PROXY header of an IPv6 balancer tells the IPv6 address of the client', async () => {
  const before = `PROXY TCP6 2001:db8:1::7 2001:db8::1 5000 25\r\n`
  const { clientAddress } = await arrived(await sent(ports.proxied, '::1', { before }))
  assert.equal(clientAddress, '2001:db8:1::7')
  const stranger = `PROXY TCP6 2001:db8:2::7 2001:db8::1 5000 25\r\n`
  assert.match(await sent(ports.proxied, '::1', { before: stranger }), /^530 /)
})

function queuedIdOf(text: string): string {
  return queuedId({ code: Number(text.slice(0, 3)), lines: [text.slice(4)], text })
}
