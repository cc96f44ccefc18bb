// Situation: a running server is backed up, and the copy is brought back to life beside it.
//
// What was waiting at the time of the backup may have been sent since: so a restored queue is held, says so, and sends
// nothing until the operator lets it.

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort, Postrider, postriderCommand } from '../support/postrider.ts'
import { queuedId, SmtpClient } from './support/client.ts'
import { eventsOf, House, message, type ShownMessage, waitForAll } from './support/house.ts'
import { Receiver } from './support/receiver.ts'

interface Row {
  readonly messageId: string
  readonly state: string
  readonly waitReasons: readonly { readonly reason: string }[]
}

let isTaking = false
let receiver: Receiver
let house: House
let copy: string
let folder: string
let delivered: string
let waiting: string
let large: string

before(async () => {
  receiver = await Receiver.start({
    rcpt: path => (path.startsWith('later') && !isTaking ? '451 4.0.0 later' : '250 2.1.5 ok'),
  })
  house = await House.open(`${receiver.route}[retry]\nschedule = ["1h"]\n`)
  const parent = mkdtempSync(join(tmpdir(), 'postrider-backup-'))
  copy = join(parent, 'copy')
  folder = mkdtempSync(join(tmpdir(), 'postrider-restored-'))
})
after(async () => {
  await house[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  for (const path of [join(copy, '..'), folder]) rmSync(path, { recursive: true, force: true })
})

test('backup copies a running server, which goes on', async () => {
  await using client = await house.client()
  delivered = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  waiting = queuedId(await client.send('ann@acme.example', 'later@there.example', message()))
  const body = `${'y'.repeat(70)}\r\n`.repeat(3000)
  large = queuedId(
    await client.send('ann@acme.example', ['later1@one.example', 'later2@two.example'], message([], body)),
  )
  await waitForAll(house.server, [delivered], 'delivered')
  await waitForAll(house.server, [waiting, large], 'deferred')
  const made = await house.server.json<{ messages: number; recipients: number } & Record<string, never>>(
    'backup',
    copy,
  )
  assert.deepEqual([made.messages, made.recipients], [2, 3])
  assert.equal(statSync(copy).mode & 0o077, 0, 'nobody else may look into it')
  const id = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  await waitForAll(house.server, [id], 'delivered')
})

test('a backup is not written over something', async () => {
  const before = readdirSync(copy)
  const { code, stderr } = await house.command('backup', copy, '--json')
  assert.equal(code, 1)
  assert.match(stderr, /PR_BACKUP_TARGET/)
  assert.deepEqual(readdirSync(copy), before)
})

test('restore --preview says what would be sent again and changes nothing', async () => {
  writeFileSync(join(folder, 'postrider.toml'), 'data_dir = "data"\n')
  const { code, stdout } = await restore(copy, '--preview', '--json')
  assert.equal(code, 0)
  const shown = JSON.parse(stdout) as {
    messages: number
    recipients: number
    domains: { domain: string; recipients: number }[]
  }
  assert.deepEqual([shown.messages, shown.recipients], [2, 3])
  assert.deepEqual(shown.domains.map(({ domain }) => domain).toSorted(), [
    'one.example',
    'there.example',
    'two.example',
  ])
  assert.deepEqual(readdirSync(folder), ['postrider.toml'])
})

test('a backup that was copied without its segments is refused with a way out, and its preview says so', async () => {
  const part = join(copy, '..', 'part')
  cpSync(copy, part, { recursive: true, filter: path => !path.endsWith('.seg') })
  const refused = await restore(part, '--json')
  assert.equal(refused.code, 1)
  const { error } = JSON.parse(refused.stderr) as { error: Record<'code' | 'message' | 'hint', string> }
  assert.equal(error.code, 'PR_BACKUP_INCOMPLETE')
  assert.match(error.message, /lacks contents of 1 message \(\d+\.seg\)/)
  assert.match(error.hint, /--incomplete/)
  const shown = await restore(part, '--preview')
  assert.match(shown.stdout, /^it lacks contents of 1 message \(\d+\.seg\)/m)
  assert.doesNotMatch((await restore(copy, '--preview')).stdout, /lacks/)
  assert.deepEqual(readdirSync(folder), ['postrider.toml'])
})

test('restore refuses a folder that is in use or not empty, and a source that is no backup', async () => {
  const used = await house.command('restore', copy, '--json')
  assert.equal(used.code, 1)
  assert.match(used.stderr, /PR_/)
  const none = await restore(tmpdir(), '--json')
  assert.equal(none.code, 1)
  assert.match(none.stderr, /PR_BACKUP_SOURCE/)
  assert.deepEqual(readdirSync(folder), ['postrider.toml'])
})

test('a restored queue is held with its reason, keeps accounts and history, and sends when it is released', async () => {
  const made = await restore(copy, '--json')
  assert.equal(made.code, 0, made.stderr)
  assert.equal((JSON.parse(made.stdout) as { held: number }).held, 3)
  const port = await freePort()
  const before = receiver.messages.length
  isTaking = true
  await using server = await Postrider.start({
    toml: `${receiver.route}[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "submission"\n`,
    folder,
  })
  await using client = await SmtpClient.connect(port)
  await client.login(house.login.username, house.login.secret)
  const fresh = queuedId(await client.send('ann@acme.example', 'bob@there.example', message()))
  await waitForAll(server, [fresh], 'delivered')
  const rows = await server.json<Row[] & Record<string, never>>('queue', 'list')
  assert.deepEqual(
    rows.map(row => [row.state, row.waitReasons[0]!.reason]),
    Array(3).fill(['held', 'held-by-restore']),
  )
  assert.equal(receiver.messages.length, before + 1, 'only the new one was sent')
  const shown = await server.json<ShownMessage & Record<string, never>>('message', 'show', delivered)
  assert.equal(shown.recipients[0]!.state, 'delivered')
  const held = (await eventsOf(server)).filter(event => event.type === 'held')
  assert.deepEqual(new Set(held.map(event => event.by)), new Set(['restore']))
  await server.json('queue', 'release', '--all', '--yes')
  await waitForAll(server, [waiting, large], 'delivered')
  await receiver.waitFor(() => receiver.messages.length === before + 4 || countTo() === 3)
  const body = receiver.messages.find(one => one.content.includes(large))!.content
  assert.ok(body.includes('y'.repeat(70)) && body.length > 210_000)
  assert.ok(readFileSync(join(folder, 'data', 'secret.key')).length > 0)
})

const countTo = (): number =>
  receiver.messages.flatMap(one => one.to).filter(path => path.startsWith('later')).length

const restore = (source: string, ...args: readonly string[]) =>
  postriderCommand(['restore', source, ...args, '--config', join(folder, 'postrider.toml')], folder)
