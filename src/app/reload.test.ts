import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Reloader, type ReloadParts, withFixedParts } from './reload.ts'
import { configOf } from './test-kit.ts'

const listener = (text: string): string => `[[listener]]\nkind = "relay"\n${text}\n`
const old = configOf(`hostname = "a.example"\n${listener('address = "127.0.0.1:2525"')}`)

/** What a reload with this file would ignore, and what would be in force. */
const reloaded = (toml: string) => withFixedParts(old, configOf(toml))

test('the same configuration again ignores nothing', () => {
  const { config, ignored } = withFixedParts(old, structuredClone(old))
  assert.deepEqual(ignored, [])
  assert.deepEqual(config, old)
})

const fixed: readonly (readonly [name: string, toml: string])[] = [
  ['hostname', 'hostname = "b.example"'],
  ['user', 'user = "mail"'],
  ['relay_threads', 'relay_threads = 3'],
  ['store', '[store]\nurl = "sqlite:other"'],
  ['http', '[http]\naddress = "off"'],
  ['lab', '[lab]\nenabled = true'],
  ['dkim', '[dkim]\ndomain = "a.example"\nselector = "s"\nkey_file = "k.pem"'],
  ['log', '[log]\nlevel = "debug"'],
  ['delivery.port', '[delivery]\nport = 2526'],
  ['limits.sessions', '[limits]\nsessions = 7'],
  ['limits.ready_queue_recipients', '[limits]\nready_queue_recipients = 7'],
  ['limits.ready_queue_size', '[limits]\nready_queue_size = "1MiB"'],
]
for (const [name, toml] of fixed)
  test(`a change of ${name} is named and not in force`, () => {
    const head = name === 'hostname' ? '' : 'hostname = "a.example"\n'
    const door = listener('address = "127.0.0.1:2525"')
    const text = toml.startsWith('[') ? `${head}${door}${toml}` : `${head}${toml}\n${door}`
    const { config, ignored } = reloaded(text)
    assert.deepEqual(ignored, [name])
    assert.deepEqual(config, old)
  })

test('rules of delivery, retries, limits, routes, DNS servers and listeners are in force at once', () => {
  const { config, ignored } = reloaded(`hostname = "a.example"
${listener('address = "127.0.0.1:2525"\nnetworks = "10.0.0.0/8"')}
[[route]]
recipient_domain = "*"
smarthost = "b.example:25"
[delivery]
bind = ["127.0.0.2"]
allow_private = ["10.0.0.0/8"]
connections_per_site = 3
[dns]
servers = ["192.0.2.53"]
[retry]
schedule = ["7s"]
[limits]
reply_lines = 9
auth_failures = 1
connections_per_address = 2
`)
  assert.deepEqual(ignored, [])
  assert.deepEqual(config.listeners[0]?.networks, ['10.0.0.0/8'])
  assert.equal(config.routes.length, 1)
  assert.deepEqual(config.dns.servers, [{ host: '192.0.2.53', port: 53 }])
  assert.deepEqual([config.delivery.bind, config.delivery.connectionsPerSite], [['127.0.0.2'], 3])
  assert.deepEqual(config.retry.scheduleMs, [7_000])
  assert.deepEqual([config.limits.replyLines, config.limits.connectionsPerAddress], [9, 2])
})

test('another address, another kind, one listener more: the doors stay as they are', () => {
  for (const doors of [
    listener('address = "127.0.0.1:2526"'),
    '[[listener]]\naddress = "127.0.0.1:2525"\nkind = "submission"\n',
    listener('address = "127.0.0.1:2525"') + listener('address = "127.0.0.1:2526"'),
  ]) {
    const { config, ignored } = reloaded(`hostname = "a.example"\n${doors}`)
    assert.deepEqual(ignored, ['listener'])
    assert.deepEqual(config.listeners, old.listeners)
  }
})

test('port 0 in the file keeps the port that was found for it', () => {
  const { config, ignored } = reloaded(`hostname = "a.example"\n${listener('address = "127.0.0.1:0"')}`)
  assert.deepEqual(ignored, [])
  assert.equal(config.listeners[0]?.address.port, 2525)
})

test('TLS ticket keys change daily; when that fails the log says so by its own name, the old ones stay, and the next day tries again', async t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const logged: unknown[] = []
  const given: Uint8Array[] = []
  let isRefusing = false
  const pem = { certificatePem: '', keyPem: '', caPem: '' }
  const parts: ReloadParts = {
    config: old,
    asked: old,
    tls: { ...pem, ciphers: 'modern', isSelfSigned: true, notAfterMs: 0 },
    dnsServers: [],
    ticketKeys: Buffer.alloc(48),
    tellMissingAccounts: () => {},
    relays: {
      reload: async ({ ticketKeys }) => {
        if (isRefusing) throw new Error('no memory')
        given.push(ticketKeys)
      },
    },
  }
  const hangups = { handTo: () => ({ [Symbol.dispose]: () => {} }) }
  using _reloader = new Reloader(parts, hangups, undefined, {
    event: (name, fields) => void logged.push([name, String(fields?.['err'])]),
  })
  const nextDay = async (): Promise<Uint8Array> => {
    t.mock.timers.tick(86_400_000)
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    return parts.ticketKeys
  }
  const first = await nextDay()
  assert.deepEqual([given, logged], [[first], []])
  isRefusing = true
  assert.equal(await nextDay(), first)
  assert.deepEqual(logged, [['tls.rotation-failed', 'Error: no memory']])
  isRefusing = false
  assert.notEqual(await nextDay(), first)
  assert.equal(given.length, 2)
})
