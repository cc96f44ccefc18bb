// What scanners say of the doors: nmap finds neither an open relay nor user names, sslscan no TLS below 1.2 and no weak
// cipher. Each scanner is first shown something that it must find, so that its silence about us means something.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf, House, type Ports } from '../scenario/support/house.ts'
import { Receiver } from '../scenario/support/receiver.ts'
import {
  type Certificate,
  freePort,
  isListening,
  makeCertificate,
  makeCertificateAuthority,
  Program,
  run,
  runOrThrow,
  Scratch,
} from '../support/peers/index.ts'
import { needs } from './support/needs.ts'

/** Forward secrecy and authenticated encryption; TLS 1.3 has nothing else. */
const strong = /^(?:TLS_(?:AES|CHACHA20)_|ECDHE-RSA-(?:AES(?:128|256)-GCM|CHACHA20-POLY1305))/
const doors: readonly (keyof Ports)[] = ['relay', 'submission', 'submissions']

/** The scanner comes from 127.0.0.1, which is not in the networks of the relay door. */
async function openHouse(certificate: Certificate, more = ''): Promise<House> {
  const tls = `[tls]\ncertificate = "${certificate.certificate}"\nkey = "${certificate.key}"\n${more}\n`
  const limits = '[limits]\nconnection_rate_per_address = 100000\n'
  return await House.open(`${tls}${limits}`, { relay: 'networks = ["127.0.7.20"]\naccount = "acme"' })
}

/** An RSA certificate: with it a server may offer every suite that there is. */
async function makeRsaCertificate(directory: string): Promise<Certificate> {
  const ca = await makeCertificateAuthority({ directory, keyKind: 'rsa' })
  return await makeCertificate({ directory, names: ['relay.example'], ca, keyKind: 'rsa' })
}

/** What nmap's scripts said of each port. */
async function nmap(ports: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const scripts = '+smtp-open-relay,+smtp-commands,+smtp-enum-users'
  const args = ['-n', '-Pn', '-sT', '-p', ports.join(','), '--script', scripts, '127.0.0.1']
  const said = await runOrThrow('nmap', args, { timeoutMs: 120_000 })
  const sections = said.split(/^(?=\d+\/tcp )/m).slice(1)
  return new Map(sections.map(text => [Number.parseInt(text, 10), text]))
}

interface Scan {
  /** For instance `tls1.2`; only those that the server speaks. */
  readonly protocols: readonly string[]
  readonly ciphers: readonly { readonly name: string; readonly bits: number; readonly isPreferred: boolean }[]
}

async function sslscan(port: number, isStarttls: boolean): Promise<Scan> {
  const how = isStarttls ? ['--starttls-smtp'] : []
  const { stdout } = await run('sslscan', ['--xml=-', ...how, `127.0.0.1:${port}`], { timeoutMs: 120_000 })
  const xml = stdout.toString('utf8')
  const protocols = xml.matchAll(/<protocol type="(\w+)" version="([\d.]+)" enabled="1"/g)
  const ciphers = xml.matchAll(/<cipher status="(\w+)" sslversion="[^"]*" bits="(\d+)" cipher="([^"]+)"/g)
  return {
    protocols: [...protocols].map(([, type, version]) => `${type}${version}`),
    ciphers: [...ciphers].map(([, status, bits, name]) => ({
      name: name!,
      bits: Number(bits),
      isPreferred: status === 'preferred',
    })),
  }
}

const needsNmap = await needs('nmap', 'openssl')
const needsSslscan = await needs('sslscan', 'openssl')

test('nmap finds no open relay and no user names', needsNmap, async context => {
  await using scratch = await Scratch.create('scanners')
  await using open = await Receiver.start()
  await using house = await openHouse(await makeRsaCertificate(scratch.path))
  // At a port that speaks TLS at once nmap waits 20 s for words in the clear; the meaning of all doors is the same.
  const asked = ['relay', 'submission'] as const
  const said = await nmap([open.port, ...asked.map(door => house.ports[door])])

  await context.test('where there is one, it finds it', () => {
    assert.match(said.get(open.port) ?? '', /smtp-open-relay: Server is an open relay \(16\/16 tests\)/)
    assert.match(said.get(open.port) ?? '', /smtp-enum-users: \n\|\s+root/)
  })
  for (const door of asked)
    await context.test(`the ${door} door asks for a login`, () => {
      const text = said.get(house.ports[door]) ?? ''
      assert.match(text, /smtp-open-relay: Server isn't an open relay, authentication needed/)
      assert.match(text, /Couldn't perform user enumeration, authentication needed/)
      assert.match(text, /smtp-commands: relay\.example greets .*PIPELINING, SIZE \d+, 8BITMIME, SMTPUTF8/)
    })
  await context.test('nothing was taken', async () => {
    const types = (await eventsOf(house.server)).map(event => event.type)
    assert.ok(!types.includes('accepted'))
  })
})

test('sslscan finds nothing below TLS 1.2 and no weak cipher', needsSslscan, async context => {
  await using scratch = await Scratch.create('scanners')
  const certificate = await makeRsaCertificate(scratch.path)

  await context.test('where there is something, it finds it', async () => {
    const port = await freePort()
    const files = ['-cert', certificate.certificate, '-key', certificate.key]
    await using old = new Program({
      name: 'openssl s_server',
      command: 'openssl',
      args: ['s_server', '-accept', `127.0.0.1:${port}`, ...files, '-cipher', 'ALL:@SECLEVEL=0', '-quiet'],
    })
    await old.until('a listener', () => isListening('127.0.0.1', port))
    const { protocols, ciphers } = await sslscan(port, false)
    assert.ok(protocols.includes('tls1.0') || protocols.includes('tls1.1'), protocols.join())
    assert.ok(ciphers.some(cipher => cipher.name === 'AES128-SHA'))
  })

  await using house = await openHouse(certificate)
  for (const door of doors)
    await context.test(`the ${door} door`, async () => {
      const { protocols, ciphers } = await sslscan(house.ports[door], door !== 'submissions')
      assert.deepEqual(protocols, ['tls1.2', 'tls1.3'])
      const weak = ciphers.filter(({ name, bits }) => bits < 128 || !strong.test(name))
      assert.deepEqual(weak, [])
      assert.ok(ciphers.length >= 5, `${ciphers.length} ciphers`)
    })

  await context.test('ciphers = "compatible" offers old ones too, and none of them first', async () => {
    await using old = await openHouse(certificate, 'ciphers = "compatible"')
    const { protocols, ciphers } = await sslscan(old.ports.submission, true)
    assert.deepEqual(protocols, ['tls1.2', 'tls1.3'])
    const names = ciphers.map(cipher => cipher.name)
    for (const name of ['AES128-SHA', 'ECDHE-RSA-AES128-SHA256']) assert.ok(names.includes(name), name)
    assert.doesNotMatch(names.join(), /NULL|EXP|RC4|DES|anon|ADH|AECDH|MD5|PSK/)
    const preferred = ciphers.filter(cipher => cipher.isPreferred).map(cipher => cipher.name)
    assert.equal(preferred.length, 2)
    for (const name of preferred) assert.match(name, strong)
  })
})
