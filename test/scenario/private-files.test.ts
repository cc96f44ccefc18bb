// Situation: the folders for data and for backups were made by the operator, open for everybody, and so is the umask.
//
// Waiting mail, keys and copies of them are for the owner of the server alone, whatever was there before.

import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { needsMachine } from '../support/needs-machine.ts'
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

test(
  'what root restores belongs to the owner of the folder that it goes into',
  needsMachine(process.getuid?.() === 0, 'root'),
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postrider-private-'))
    chmodSync(folder, 0o755)
    const large = message([], `${'x'.repeat(70)}\r\n`.repeat(3000))
    await using receiver = await Receiver.start({ rcpt: () => '451 4.0.0 later' })
    await using house = await House.open(receiver.route, { folder })
    await using client = await house.client()
    const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', large))
    await waitForAll(house.server, [id], 'deferred')
    const copy = join(folder, 'copy')
    assert.equal((await house.command('backup', copy)).code, 0)
    // The folder of a service, behind a link, as systemd makes it.
    const restored = openFolder(join(folder, 'of-the-service'))
    chownSync(restored, 54_321, 54_322)
    symlinkSync(restored, join(folder, 'data-link'))
    writeFileSync(join(folder, 'restored.toml'), 'data_dir = "data-link"\n')
    const done = await postriderCommand(['restore', copy, '--config', join(folder, 'restored.toml')], folder)
    assert.equal(done.code, 0, done.stderr)
    const names = readdirSync(restored, { recursive: true, encoding: 'utf8' })
    assert.ok(names.some(name => name.endsWith('.seg')) && names.includes('secret.key'), names.join())
    for (const name of ['', ...names]) {
      const { uid, gid } = statSync(join(restored, name))
      assert.deepEqual([uid, gid], [54_321, 54_322], name)
    }
  },
)
