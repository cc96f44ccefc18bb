import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ControlServer } from '../api/control/index.ts'
import { openBed } from './test-kit.ts'

test('a server from before an upgrade, which answers a list as one array, is understood; doctor does, too', async () => {
  await using bed = await openBed()
  await bed.stopServing()
  const rows = [{ id: 'acc_1', name: 'shop', status: 'active', createdAt: '2026-11-27T07:00:00.000Z' }]
  const place = { path: join(bed.dataDir, 'control.sock'), pathFile: null, folder: null }
  await using server = new ControlServer(
    place,
    {
      'account.list': async () => ({ ok: true, value: rows }),
      'server.status': async () => ({ ok: true, value: { version: '0.0.1', processId: 1 } }),
    },
    64,
  )
  await server.listen()
  const listed = await bed.run('account list --json')
  assert.deepEqual([listed.code, JSON.parse(listed.stdout)], [0, rows])
  const listener = '[dns]\nservers = ["127.0.0.1:9"]\n[[listener]]\naddress = "127.0.0.1:0"\nkind = "relay"\n'
  writeFileSync(
    join(bed.dataDir, 'postrider.toml'),
    `hostname = "mx.example.test"\ndata_dir = "."\n${listener}networks = ["127.0.0.0/8"]\naccount = "shop"\n`,
  )
  const { checks } = JSON.parse((await bed.run('doctor --json')).stdout) as {
    readonly checks: readonly { readonly name: string; readonly state: string }[]
  }
  assert.equal(checks.find(({ name }) => name === 'account shop')?.state, 'ok')
})
