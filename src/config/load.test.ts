import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { recipientsMax } from '../base/index.ts'
import { type LoadResult, loadConfig } from './load.ts'
import { formatProblem } from './problem.ts'
import type { Config } from './types.ts'

const folder = mkdtempSync(join(tmpdir(), 'postrider-config-'))
after(() => rmSync(folder, { recursive: true }))

function load(toml: string | null, env: Record<string, string> = {}): LoadResult {
  const cwd = mkdtempSync(join(folder, 'case-'))
  if (toml !== null) writeFileSync(join(cwd, 'postrider.toml'), toml)
  return loadConfig({ cwd, env, machineName: 'relay.example.com', systemPath: join(cwd, 'none.toml') })
}

function config(toml: string | null, env: Record<string, string> = {}): Config {
  const result = load(toml, env)
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'))
  return result.config
}

/** The problems as sentences, with the folder of the case taken out. */
function problems(toml: string | null, env: Record<string, string> = {}): string[] {
  const result = load(toml, env)
  assert.equal(result.ok, false, 'a problem was expected')
  return result.ok
    ? []
    : result.problems.map(one => formatProblem(one).replace(/\/\S*\/postrider\.toml/, 'postrider.toml'))
}

test('a first run without a file has the ports of the contract on loopback, data in ./data, and the lab on', () => {
  const cwd = mkdtempSync(join(folder, 'first-'))
  const result = loadConfig({ cwd, env: {}, machineName: 'box', systemPath: join(cwd, 'none.toml') })
  assert.ok(result.ok)
  assert.equal(result.path, null)
  const { dataDir, listeners, http, lab, hostname, tls, limits, retry, delivery } = result.config
  assert.equal(dataDir, join(cwd, 'data'))
  assert.deepEqual(
    listeners.map(one => [one.address.host, one.address.port, one.kind, one.networks.length]),
    [
      ['127.0.0.1', 2525, 'relay', 0],
      ['127.0.0.1', 2587, 'submission', 0],
      ['127.0.0.1', 2465, 'submissions', 0],
    ],
  )
  assert.deepEqual(http.address, { host: '127.0.0.1', port: 2580 })
  assert.equal(lab.isEnabled, true)
  assert.equal(hostname, 'box')
  assert.equal(tls, null)
  assert.equal(limits.messageSizeBytes, 25 * 1024 * 1024)
  assert.equal(limits.recipients, 1000)
  assert.equal(retry.expireMs, 5 * 86_400_000)
  assert.equal(delivery.port, 25)
})

test('with a file the lab is off unless the file turns it on', () => {
  assert.equal(config('').lab.isEnabled, false)
  assert.equal(config('[lab]\nenabled = true').lab.isEnabled, true)
})

const noLogin = { tls: 'opportunistic', username: null, password: null } as const

test('every key of the contract is understood', () => {
  const all = config(`
hostname = "mx.example.com"
data_dir = "/srv/postrider"
user = "postrider"
[[listener]]
address = "0.0.0.0:25"
kind = "relay"
proxy_protocol = ["10.0.0.1/32"]
networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]
account = "printers"
senders = "any"
bare_lf = "mend"
long_lines = "encode"
show_client_address = true
[[listener]]
address = "[::1]:465"
kind = "submissions"
proxy_protocol = true
[[route]]
recipient_domain = "*"
smarthost = "smart.example.net:587"
[[route]]
recipient_domain = "Example.COM"
smarthost = "127.0.0.1:2600"
[tls]
certificate = "cert.pem"
key = "/etc/key.pem"
ca = "ca.pem"
[http]
address = "127.0.0.1:8080"
[store]
url = "sqlite:"
[dns]
servers = ["127.0.0.1:5353", "192.0.2.53"]
trust_anchor = ". IN DS 20326 8 2 E06D44B8"
[delivery]
port = 2526
bind = ["127.0.0.2"]
allow_private = ["127.0.0.0/8"]
[retry]
schedule = ["1s", "5m"]
expire = "2d"
[limits]
message_size = "1MiB"
`)
  const [relay, submissions] = all.listeners
  assert.deepEqual(relay, {
    address: { host: '0.0.0.0', port: 25 },
    kind: 'relay',
    proxyProtocol: ['10.0.0.1/32'],
    networks: ['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'],
    account: 'printers',
    senders: 'any',
    bareLf: 'mend',
    longLines: 'encode',
    showsClientAddress: true,
  })
  assert.deepEqual(submissions?.proxyProtocol, ['127.0.0.0/8', '::1/128'])
  assert.equal(submissions?.address.host, '::1')
  assert.equal(submissions?.account, 'default')
  assert.deepEqual(all.routes, [
    {
      recipientDomain: '*',
      smarthost: { host: 'smart.example.net', port: 587, isImplicitTls: false },
      ...noLogin,
    },
    {
      recipientDomain: 'example.com',
      smarthost: { host: '127.0.0.1', port: 2600, isImplicitTls: false },
      ...noLogin,
    },
  ])
  assert.equal(all.user, 'postrider')
  assert.equal(all.tls?.keyPath, '/etc/key.pem')
  assert.match(all.tls?.certificatePath ?? '', /\/case-\w+\/cert\.pem$/, 'relative paths start at the file')
  assert.deepEqual(all.dns.servers, [
    { host: '127.0.0.1', port: 5353 },
    { host: '192.0.2.53', port: 53 },
  ])
  assert.deepEqual(all.dns.trustAnchor, ['. IN DS 20326 8 2 E06D44B8'])
  assert.deepEqual(all.delivery.allowPrivate, ['127.0.0.0/8'])
  assert.deepEqual(all.retry, { scheduleMs: [1000, 300_000], expireMs: 172_800_000 })
  assert.equal(all.limits.messageSizeBytes, 1_048_576)
  assert.deepEqual(JSON.parse(JSON.stringify(all)), all, 'plain data that can be posted to a thread')
})

test('an unknown key is an error that names file, line and the nearest key', () => {
  assert.deepEqual(problems('hostname = "a.example"\n\n[limits]\nmesage_size = "1MiB"\n'), [
    'postrider.toml:4 limits.mesage_size: unknown key "mesage_size" in [limits] (did you mean "message_size"?)',
  ])
  assert.deepEqual(
    problems(
      '[[listener]]\naddress="127.0.0.1:1"\nkind="relay"\n[[listener]]\nadress="127.0.0.1:2"\naddress="127.0.0.1:2"\nkind="relay"',
    ),
    ['postrider.toml:5 listener[1].adress: unknown key "adress" in [listener] (did you mean "address"?)'],
  )
  assert.deepEqual(problems('[delivry]\nport = 25'), [
    'postrider.toml:1 delivry: unknown key "delivry" (did you mean "delivery"?)',
  ])
})

test('wrong values say what must be written instead, all of them at once', () => {
  const said = problems(`
hostname = "not a name"
[[listener]]
address = "2525"
kind = "smtp"
[retry]
expire = 5
schedule = []
[limits]
recipients = 0
message_size = "25MB"
`)
  assert.equal(said.length, 7)
  assert.match(said.join('\n'), /postrider\.toml:2 hostname: "not a name" is not a host or domain name/)
  assert.match(said.join('\n'), /listener\[0\]\.address: "2525" names no port/)
  assert.match(
    said.join('\n'),
    /listener\[0\]\.kind: must be one of "submission", "submissions", "relay", "mx"/,
  )
  assert.match(said.join('\n'), /retry\.expire: must be text in quotes/)
  assert.match(said.join('\n'), /retry\.schedule: must name at least one interval/)
  assert.match(said.join('\n'), /limits\.recipients: must be a whole number from 1/)
  assert.match(said.join('\n'), /limits\.message_size: "25MB" is not a size such as/)
})

test('a DNS server at port 0 is refused: nobody answers there', () => {
  for (const server of ['127.0.0.1:0', '[::1]:0'])
    assert.match(
      problems(`[dns]\nservers = ["${server}"]`)[0]!,
      /dns\.servers.*has port 0, which nobody can be/,
    )
  const listener = '[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"'
  assert.equal(config(listener).listeners[0]?.address.port, 0, 'a door may take any port')
})

test('a message may be allowed as many recipients as the store can number, and no more', () => {
  const section = (recipients: number): string => `[limits]\nrecipients = ${recipients}\n`
  assert.equal(config(section(65_536)).limits.recipients, recipientsMax)
  assert.match(
    problems(section(65_537))[0]!,
    /^postrider\.toml:2 limits\.recipients: must be a whole number from 1 to 65536/,
  )
})

test('a duration that is longer than a timer can wait, or than all dates, is refused with the longest that may be', () => {
  assert.deepEqual(
    problems('[limits]\ndrain = "30d"\n[retry]\nexpire = "14892000w"\nschedule = ["1m", "36501d"]\n').sort(),
    [
      'postrider.toml:2 limits.drain: must be at most 24d',
      'postrider.toml:4 retry.expire: must be at most 36500d',
      'postrider.toml:5 retry.schedule[1]: must be at most 36500d',
    ],
  )
  const { limits } = config('[limits]\ndrain = "24d"\n')
  // Node fires at once when it is given more than this. The end of the process has some seconds on top of the drain.
  assert.ok(limits.drainMs + 60_000 < 2 ** 31)
})

test('a section written as the wrong kind of thing is refused with the right way to write it', () => {
  assert.match(problems('limits = 5')[0]!, /must be a section, written as \[limits\]/)
  assert.match(
    problems('[listener]\naddress = "127.0.0.1:1"\nkind = "relay"')[0]!,
    /must be written as \[\[listener\]\]/,
  )
  assert.match(problems('[tls]\ncertificate = "a.pem"')[0]!, /tls\.key: "key" is missing/)
})

test('TOML that cannot be read, and files that cannot be found, are one sentence each', () => {
  assert.match(problems('hostname = \n')[0]!, /^postrider\.toml:1: this is not valid TOML: /)
  const missing = loadConfig({ path: 'nowhere.toml', cwd: folder, env: {}, machineName: 'a' })
  assert.ok(!missing.ok)
  assert.match(formatProblem(missing.problems[0]!), /nowhere\.toml: this configuration file does not exist/)
  mkdirSync(join(folder, 'dir.toml'))
  const unreadable = loadConfig({ path: 'dir.toml', cwd: folder, env: {}, machineName: 'a' })
  assert.ok(!unreadable.ok)
  assert.match(formatProblem(unreadable.problems[0]!), /cannot be read \(EISDIR\)/)
})

test('the file is looked for at --config, then in the folder, then in the system', () => {
  const cwd = mkdtempSync(join(folder, 'order-'))
  const systemPath = join(cwd, 'system.toml')
  const given = join(cwd, 'given.toml')
  const name = (path?: string) => {
    const result = loadConfig({ path, cwd, env: {}, machineName: 'a', systemPath })
    assert.ok(result.ok)
    return result.config.hostname
  }
  writeFileSync(systemPath, 'hostname = "system.example"')
  assert.equal(name(), 'system.example')
  writeFileSync(join(cwd, 'postrider.toml'), 'hostname = "folder.example"')
  assert.equal(name(), 'folder.example')
  writeFileSync(given, 'hostname = "given.example"')
  assert.equal(name(given), 'given.example')
  assert.equal(name('given.example'.replace('.example', '.toml')), 'given.example')
})

test('environment variables win over the file, whatever their type', () => {
  const result = config('hostname = "a.example"\n[[listener]]\naddress = "127.0.0.1:1"\nkind = "relay"', {
    POSTRIDER_HOSTNAME: 'b.example',
    POSTRIDER_DATA_DIR: 'here',
    POSTRIDER_HTTP__ADDRESS: '127.0.0.1:9',
    POSTRIDER_LAB__ENABLED: 'true',
    POSTRIDER_LIMITS__RECIPIENTS: '7',
    POSTRIDER_RETRY__SCHEDULE: '1s, 2s',
    POSTRIDER_DELIVERY__ALLOW_PRIVATE: '["127.0.0.0/8"]',
    POSTRIDER_LISTENER__0__PROXY_PROTOCOL: 'true',
    POSTRIDER_LISTENER__1__ADDRESS: '127.0.0.1:2',
    POSTRIDER_LISTENER__1__KIND: 'submission',
  })
  assert.equal(result.hostname, 'b.example')
  assert.match(result.dataDir, /\/here$/)
  assert.equal(result.http.address?.port, 9)
  assert.equal(result.lab.isEnabled, true)
  assert.equal(result.limits.recipients, 7)
  assert.deepEqual(result.retry.scheduleMs, [1000, 2000])
  assert.deepEqual(result.delivery.allowPrivate, ['127.0.0.0/8'])
  assert.equal(result.listeners[0]?.proxyProtocol.length, 2)
  assert.equal(result.listeners[1]?.kind, 'submission')
})

test('a wrong value from the environment names the variable, and an unknown variable is a warning', () => {
  assert.match(
    problems('', { POSTRIDER_RETRY__EXPIRE: 'soon' })[0]!,
    /^environment variable POSTRIDER_RETRY__EXPIRE: "soon" is not a duration/,
  )
  assert.match(
    problems('', { POSTRIDER_DELIVERY__ALLOW_PRIVATE: '10.0.0.0/8,x' })[0]!,
    /^environment variable POSTRIDER_DELIVERY__ALLOW_PRIVATE: "x" is not a network/,
  )
  assert.match(problems('', { POSTRIDER_ROUTE__1__SMARTHOST: 'a:25' })[0]!, /there is no \[\[route\]\]/)
  const result = load('', {
    POSTRIDER_HTTP_ADDRESS: 'x',
    POSTRIDER_PORT: 'tcp://10.0.0.1:25',
    POSTRIDER_SERVICE_HOST: 'x',
  })
  assert.ok(result.ok)
  assert.deepEqual(
    result.warnings.map(one => one.hint),
    ['did you mean POSTRIDER_HTTP__ADDRESS?'],
  )
})

test('any text in the environment is answered with a value and never with a throw', () => {
  assert.equal(config('', { POSTRIDER_LIMITS__SESSIONS: '0100' }).limits.sessions, 100)
  assert.match(
    problems('', { POSTRIDER_LAB__ENABLED: '007' })[0]!,
    /^environment variable POSTRIDER_LAB__ENABLED: /,
  )
  const names = fc.constantFrom(
    'POSTRIDER_HOSTNAME',
    'POSTRIDER_RELAY_THREADS',
    'POSTRIDER_LIMITS__SESSIONS',
    'POSTRIDER_LIMITS__DRAIN',
    'POSTRIDER_LAB__ENABLED',
    'POSTRIDER_DNS__SERVERS',
    'POSTRIDER_LISTENER__0__PROXY_PROTOCOL',
    'POSTRIDER_LISTENER__0__ADDRESS',
    'POSTRIDER_STORE__URL_FILE',
  )
  const texts = fc.oneof(fc.string(), fc.stringMatching(/^-?\d{1,400}$/), fc.constantFrom('[', '[[]]', '-0'))
  fc.assert(
    fc.property(fc.dictionary(names, texts), env => {
      const result = load('', env)
      assert.ok(result.ok || result.problems.every(one => one.what !== ''))
    }),
    { numRuns: 200 },
  )
})

test('a secret may come from a file, named in the configuration or the environment, but not twice', () => {
  const secret = join(folder, 'store-url')
  writeFileSync(secret, 'sqlite:\n', { mode: 0o600 })
  assert.equal(config(`[store]\nurl_file = "${secret}"`).store.url, 'sqlite:')
  assert.equal(config('', { POSTRIDER_STORE__URL_FILE: secret }).store.url, 'sqlite:')
  assert.match(
    problems(`[store]\nurl = "sqlite:"\nurl_file = "${secret}"`)[0]!,
    /both url and url_file are given/,
  )
  assert.match(problems('[store]\nurl_file = "gone"')[0]!, /gone cannot be read \(ENOENT\)/)
})

test('an open relay, a door taken twice and things not served yet are refused', () => {
  const listener = (more: string) => `[[listener]]\naddress = "127.0.0.1:25"\n${more}\n`
  for (const network of ['0.0.0.0/0', '0.0.0.0/1', '::ffff:0:0/96', '::/1', '2000::/3']) {
    const [first = ''] = problems(listener(`kind = "relay"\nnetworks = ["10.0.0.0/8", "${network}"]`))
    assert.ok(first.includes(`${network} is everybody`) && first.includes('open relay'), first)
  }
  assert.match(
    problems(listener('kind = "submission"\nproxy_protocol = ["::/0"]'))[0]!,
    /choose its own address/,
  )
  assert.match(problems(listener('kind = "mx"'))[0]!, /kind "mx"\) is not served by this version/)
  assert.match(problems(listener('kind = "relay"').repeat(2))[0]!, /127\.0\.0\.1:25 is already taken/)
  assert.match(problems('[store]\nurl = "postgres://db/x"')[0]!, /PostgreSQL is not served/)
  assert.match(problems('[delivery]\nbind = ["127.0.0.1", "127.0.0.2"]')[0]!, /more than one source address/)
})

test('an account of a listener that can never have that name is refused with what a name is', () => {
  const listener = (account: string) =>
    problems(`[[listener]]\naddress = "127.0.0.1:25"\nkind = "relay"\naccount = ${account}\n`)
  for (const account of ['Shop', 'my shop', '', 'shop@example.com'])
    assert.deepEqual(listener(JSON.stringify(account)), [
      `postrider.toml:4 listener[0].account: ${JSON.stringify(account)} is not a name: use 1 to 64 of a-z, 0-9, dot, hyphen and underscore, a letter or digit first`,
    ])
  assert.match(listener(`"acc_${'a'.repeat(26)}"`)[0]!, /looks like an id and cannot be a name/)
  assert.match(listener('7')[0]!, /must be text in quotes/)
})

test('any text in the file is answered with a value and never with a throw', () => {
  const words = fc.constantFrom(
    '[limits]',
    '[[listener]]',
    'listener = [1]',
    'what = "x"',
    'hint = "y"',
    'lab = 3',
    'http.address = []',
    'tls = {}',
    '__proto__ = 1',
    'a.b.c = 2026-01-01',
    'retry.schedule = [[]]',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string())), lines => {
      const result = load(lines.join('\n'))
      assert.ok(result.ok || result.problems.every(one => one.what !== ''))
    }),
    { numRuns: 200 },
  )
})

test('a route may log in, with a password from a file, and serves a domain or its sub-domains', () => {
  const secret = join(folder, 'smarthost-password')
  writeFileSync(secret, 'correct horse\n')
  const route = (text: string) =>
    `[[route]]\nrecipient_domain = ".Example.com"\nsmarthost = "a.example:587"\n${text}`
  const login = { tls: 'verified', username: 'shop', password: 'correct horse' }
  const expected = {
    recipientDomain: '.example.com',
    smarthost: { host: 'a.example', port: 587, isImplicitTls: false },
    ...login,
  }
  const text = route('tls = "verified"\nusername = "shop"\n')
  assert.deepEqual(config(`${text}password_file = "${secret}"`).routes, [expected])
  assert.deepEqual(config(text, { POSTRIDER_ROUTE__0__PASSWORD_FILE: secret }).routes, [expected])
  assert.match(problems(text)[0]!, /postrider\.toml:5 route\[0\]\.username: the route has no password/)
  assert.match(problems(route('password = "x"'))[0]!, /the route has no username.*add username/)
  assert.match(problems(route('tls = "none"'))[0]!, /must be one of "opportunistic", "required", "verified"/)
  assert.match(problems(`${text}password_file = "gone"`)[0]!, /\[\[route\]\] password_file.*cannot be read/)
  const wrong = problems(`[[route]]\nrecipient_domain = "..example.com"\nsmarthost = "a.example"`)
  assert.match(wrong[0]!, /neither "\*" nor a domain name/)
})
