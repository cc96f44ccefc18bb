// Fuzz target: the configuration, from the text of a file to settings.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'smol-toml'
import { type FuzzTarget, must } from '../../test/fuzz/target.ts'
import { type LoadResult, loadConfig } from './load.ts'
import { formatProblem } from './problem.ts'

function load(text: Buffer | string): LoadResult {
  const cwd = mkdtempSync(join(tmpdir(), 'postrider-fuzz-'))
  try {
    const path = join(cwd, 'postrider.toml')
    writeFileSync(path, text)
    const result = loadConfig({ path, cwd, env: {}, machineName: 'relay.test' })
    // The folder's name is new each time.
    return JSON.parse(JSON.stringify(result).replaceAll(cwd, '/etc')) as LoadResult
  } finally {
    rmSync(cwd, { recursive: true })
  }
}

export const target: FuzzTarget = {
  name: 'config',
  invariants: [
    'every file ends in a configuration or in problems, each of which says where and what',
    'a file that is accepted can be read, written and read again, and means the same',
    'numbers of an accepted configuration are finite and not negative',
  ],
  dictionary: [
    '[tls]',
    '[http]',
    '[store]',
    '[dns]',
    '[delivery]',
    '[retry]',
    '[limits]',
    '[lab]',
    '[log]',
    '[retention]',
    '[[listener]]',
    '[[route]]',
    'address = ',
    '"127.0.0.1:2525"',
    'kind = "relay"',
    'networks = ["10.0.0.0/8"]',
    'schedule = ["1m", "5m"]',
    'expire = "5d"',
    'enabled = true',
    'hostname = "a.test"',
    'data_dir = ',
    'servers = ["127.0.0.1"]',
    'smarthost = "a:25"',
    'recipient_domain = "*"',
    'port = 25',
    '"25MiB"',
    '"30s"',
    '__proto__',
    'constructor',
    'toString',
    '\n',
    '=',
    '"',
    "'''",
    '{',
    '}',
    '[',
    ']',
    '.',
    '_file',
    '-1',
    '1e309',
    'nan',
    '0x10',
    '1979-05-27',
  ],
  seeds: [
    'hostname = "mx.test"\ndata_dir = "data"\n',
    '[[listener]]\naddress = "127.0.0.1:25"\nkind = "relay"\nnetworks = ["10.0.0.0/8", "::1"]\nsenders = "any"\n',
    '[retry]\nschedule = ["1m", "5m"]\nexpire = "5d"\n[delivery]\nport = 25\nallow_private = ["127.0.0.0/8"]\n',
    '[[route]]\nrecipient_domain = "*"\nsmarthost = "mx.test:25"\ntls = "required"\nusername = "a"\npassword = "b"\n',
    '[limits]\nmessage_size = "25MiB"\nrecipients = 100\n[lab]\nenabled = true\n[http]\naddress = "[::1]:80"\n',
    'listener = 1\nunknown = 2\n[retry]\nshedule = []\n',
    '[__proto__]\na = 1\n[constructor]\nprototype = 1\n',
  ],
  inputBytesMax: 600,
  longBytesMax: 20_000,
  slowMs: 500,
  run(input) {
    const result = load(input)
    if (!result.ok) {
      must(result.problems.length > 0, 'a refused file has a problem')
      for (const problem of result.problems) {
        must(problem.where !== '' && problem.what !== '', 'a problem says where and what')
        must(!/[\r\n]/.test(formatProblem(problem)), `a problem is one line: ${JSON.stringify(problem)}`)
      }
      return
    }
    const written = stringify(parse(input.toString('utf8')))
    assert.deepEqual(load(written), result)
    JSON.stringify(result.config, (key, value) => {
      must(
        typeof value !== 'number' || (Number.isFinite(value) && value >= 0),
        `${key} is a number that is not negative`,
      )
      return value
    })
  },
}
