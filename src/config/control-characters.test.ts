// A CR, LF, NUL or another control character in any key that holds text: one sentence that names the key, no value.
//
// Every key of the tables is tried, so that a new one cannot be forgotten. What a secret holds is never shown.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'smol-toml'
import type { Key } from './key.ts'
import { loadConfig } from './load.ts'
import { formatProblem } from './problem.ts'
import { configSections, type Section } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'postrider-control-'))
after(() => rmSync(folder, { recursive: true }))

type Table = Record<string, unknown>

/** What a section needs besides the key that is tried. */
const needed: Readonly<Record<string, Table>> = {
  listener: { address: '127.0.0.1:2525', kind: 'relay' },
  route: { recipient_domain: '*', smarthost: 'a.example:587', username: 'u', password: 'p' },
  tls: { certificate: 'a.pem', key: 'a.key' },
  dkim: { domain: 'a.example', selector: 's', key_file: 'a.key' },
}

/** What is right but for what stands in it or behind it. */
const rightTexts: Readonly<Record<string, string>> = {
  address: '127.0.0.1:2525',
  allow_private: '10.0.0.0/8',
  bind: '127.0.0.1',
  networks: '10.0.0.0/8',
  proxy_protocol: '10.0.0.0/8',
  servers: '127.0.0.1:53',
  smarthost: 'a.example:587',
  schedule: '1m',
  url: 'sqlite:',
}

const tails = [
  ['\r\n', /CR \(U\+000D\)/],
  ['\r\nRCPT TO:<v@evil.example>', /CR \(U\+000D\)/],
  ['\nX-Evil: y', /LF \(U\+000A\)/],
  ['\r', /CR \(U\+000D\)/],
  ['\0', /NUL \(U\+0000\)/],
  ['\u001b[2J', /U\+001B/],
  ['\u0085', /U\+0085/],
  ['\u2028', /U\+2028/],
] as const

function problems(table: Table, env: Record<string, string> = {}): string[] {
  const path = join(folder, 'postrider.toml')
  writeFileSync(path, stringify(table))
  const result = loadConfig({ path, cwd: folder, env, machineName: 'relay.example' })
  assert.equal(result.ok, false, 'a problem was expected')
  return result.ok ? [] : result.problems.map(formatProblem)
}

function tableWith(section: Section, key: Key<unknown>, text: string): Table {
  const value = key.form === 'list' || key.form === 'flag or list' ? [text] : text
  const keys = { ...needed[section.name], [key.name]: value }
  if (section.name === '') return keys
  return { [section.name]: section.form === 'list' ? [keys] : keys }
}

/** Choices say which words may be written; numbers and flags that they are wanted: what they are given is no text at all. */
function isFreeText(key: Key<unknown>): boolean {
  const sample = key.schema.safeParse('x\0')
  return !sample.success && sample.error.issues.some(issue => issue.message.includes('control'))
}

for (const section of configSections)
  for (const key of Object.values(section.keys)) {
    const name = section.name === '' ? key.name : `${section.name}.${key.name}`
    if (key.form === 'integer' || key.form === 'boolean') continue
    test(`${name} with a control character is refused with one sentence that names it`, () => {
      const right = rightTexts[key.name] ?? 'a.example'
      for (const [tail, code] of tails)
        for (const text of [`${right}${tail}`, `${right.slice(0, 2)}${tail}${right.slice(2)}`]) {
          const said = problems(tableWith(section, key, text))
          assert.equal(said.length, 1, said.join('\n'))
          assert.match(said[0]!, new RegExp(`\\b${key.name}\\b`))
          assert.doesNotMatch(said[0]!, /[\u0000-\u001f\u007f-\u009f\u2028]/, 'one line, fit for a terminal')
          if (isFreeText(key)) assert.match(said[0]!, code)
        }
    })
  }

test('a secret from a file is one line, and not shown when it is not', () => {
  const path = join(folder, 'password')
  const { password: _, ...rest } = needed['route']!
  const route = { route: [{ ...rest, password_file: path }] }
  for (const [tail, code] of tails) {
    writeFileSync(path, `correct${tail}horse\n`)
    const said = problems(route)
    assert.equal(said.length, 1, said.join('\n'))
    assert.match(said[0]!, /route\[0\]\.password: must be one line/)
    assert.match(said[0]!, code)
    assert.doesNotMatch(said[0]!, /correct|horse/)
  }
})

test('the path of a secret with a control character is refused by its name', () => {
  for (const [tail, code] of tails) {
    const { password: _, ...rest } = needed['route']!
    const said = problems({ route: [{ ...rest, password_file: `secret${tail}` }] })
    assert.equal(said.length, 1, said.join('\n'))
    assert.match(said[0]!, /\[\[route\]\] password_file: must be one line/)
    assert.match(said[0]!, code)
  }
})

test('an environment variable with a control character is refused by its name', () => {
  for (const [name, text] of [
    ['POSTRIDER_HOSTNAME', 'relay.example\r'],
    ['POSTRIDER_HOSTNAME', 'relay.example\r\nRCPT TO:<v@evil.example>'],
    ['POSTRIDER_DATA_DIR', 'data\r'],
    ['POSTRIDER_USER', 'postrider\n'],
    ['POSTRIDER_HTTP__ADDRESS', '127.0.0.1:2580\r'],
    ['POSTRIDER_STORE__URL', 'sqlite:\r'],
    ['POSTRIDER_DELIVERY__PORT', '25\r'],
    ['POSTRIDER_LAB__ENABLED', 'true\r'],
    ['POSTRIDER_LISTENER__0__ACCOUNT', 'acme\r'],
    ['POSTRIDER_LISTENER__0__KIND', 'relay\r'],
    ['POSTRIDER_DNS__SERVERS', '127.0.0.1,127.0.\r0.2'],
    ['POSTRIDER_ROUTE__0__SMARTHOST', 'a.example:587\r\n'],
    ['POSTRIDER_ROUTE__0__USERNAME', 'shop\r'],
    ['POSTRIDER_ROUTE__0__PASSWORD', 'correct horse\r'],
    ['POSTRIDER_ROUTE__0__PASSWORD', 'correct\nhorse'],
    ['POSTRIDER_DKIM__SELECTOR', 's\r\n'],
    ['POSTRIDER_DKIM__DOMAIN', 'a.example\r\n'],
  ] as const) {
    const section = /^POSTRIDER_(LISTENER|ROUTE|DKIM)__/.exec(name)?.[1]?.toLowerCase() ?? ''
    const keys = needed[section]
    const table = section === '' ? {} : { [section]: section === 'dkim' ? keys : [keys] }
    const said = problems(table, { [name]: text })
    assert.equal(said.length, 1, said.join('\n'))
    assert.match(said[0]!, new RegExp(`^environment variable ${name}: `))
    assert.doesNotMatch(said[0]!, /[\u0000-\u001f]|correct|horse/)
  }
})

test('the name of a key or a variable with control characters is shown in one line', () => {
  assert.match(problems({ 'a\r\n\u001b[2J': 1 })[0]!, /unknown key "a\\x0d\\x0a\\x1b\[2J"/)
  const path = join(folder, 'postrider.toml')
  writeFileSync(path, '')
  const env = { 'POSTRIDER_X\r\nY': 'z' }
  const result = loadConfig({ path, cwd: folder, env, machineName: 'relay.example' })
  assert.ok(result.ok)
  assert.match(formatProblem(result.warnings[0]!), /^POSTRIDER_X\\x0d\\x0aY: /)
})

test('what TOML itself cannot hold is refused by the line', () => {
  const path = join(folder, 'postrider.toml')
  for (const text of ['hostname = "a\r\nb"\n', 'hostname = "a\0b"\n', "user = 'a\rb'\n"]) {
    writeFileSync(path, text)
    const result = loadConfig({ path, cwd: folder, env: {}, machineName: 'relay.example' })
    assert.ok(!result.ok)
    assert.match(formatProblem(result.problems[0]!), /postrider\.toml:1: this is not valid TOML: /)
  }
})
