import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { shellWord } from './shell-word.ts'

test('a shell gets every word as it was, and plain ones are left as they are', () => {
  const words = [
    '/var/lib/a-b_c.toml',
    'msg_a.0',
    '',
    'a b',
    "it's",
    '$HOME',
    '`id`',
    '*',
    '~',
    '\\',
    '"',
    'a\nb',
  ]
  const line = `printf '%s\\0' ${words.map(shellWord).join(' ')}`
  assert.deepEqual(execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1), words)
  assert.equal(shellWord('/var/lib/a-b_c.toml'), '/var/lib/a-b_c.toml')
})
