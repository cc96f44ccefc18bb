// Situation: the folders for data and for backups were made by the operator, open for everybody, and so is the umask.
//
// Waiting mail, keys and copies of them are for the owner of the server alone, whatever was there before.

import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { postriderCommand } from '../support/postrider.ts'
import { queuedId } from './support/client.ts'
import { House, message, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

const openUmask = ['sh', '-c', 'umask 022; exec "$@"', 'sh']

function openFolder(path: string): string {
  mkdirSync(path)
  chmodSync(path, 0o755)
  return path
}

function assertPrivate(folder: string): void {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  assert.ok(names.includes('postrider.db'), names.join())
  for (const name of names) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false })
    if (found !== undefined)
      assert.equal(found.mode & 0o077, 0, `${name} has mode ${(found.mode & 0o777).toString(8)}`)
  }
}

test('no file in an open data folder can be read by others, nor one of its backup or of what is restored, and a start warns', async () => {
  await using receiver = await Receiver.start({ rcpt: () => '451 4.0.0 later' })
  const folder = mkdtempSync(join(tmpdir(), 'postrider-private-'))
  openFolder(join(folder, 'data'))
  await using house = await House.open(receiver.route, { folder, wrapper: openUmask })
  await using client = await house.client()
  const large = message([], `${'x'.repeat(70)}\r\n`.repeat(3000))
  const ids = [
    queuedId(await client.send('ann@acme.example', 'bob@there.example', message())),
    queuedId(await client.send('ann@acme.example', 'bob@there.example', large)),
  ]
  await waitForAll(house.server, ids, 'deferred')
  assertPrivate(house.server.dataDir)
  assert.match(
    house.server.output,
    /"config\.warning".*"others may look into [^"]*data \(mode 755\)".*chmod 700/,
  )
  const copy = openFolder(join(folder, 'copy'))
  // As an older version made them.
  chmodSync(join(house.server.dataDir, 'tls', 'certificate.pem'), 0o644)
  const made = await postriderCommand(
    ['backup', copy, '--config', house.server.configPath],
    folder,
    openUmask,
  )
  assert.equal(made.code, 0, made.stderr)
  assertPrivate(copy)
  chmodSync(join(copy, 'postrider.db'), 0o644)
  const restored = openFolder(join(folder, 'restored'))
  writeFileSync(join(folder, 'restored.toml'), 'data_dir = "restored"\n')
  const done = await postriderCommand(
    ['restore', copy, '--config', join(folder, 'restored.toml')],
    folder,
    openUmask,
  )
  assert.equal(done.code, 0, done.stderr)
  assertPrivate(restored)
})
