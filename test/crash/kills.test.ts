// SIGKILL in short form; `npm run test:crash -- --rounds 500` is the long one.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { backup } from '../../src/store/index.ts'
import { makeAccount } from '../scenario/support/house.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { freshSeed, Random } from '../support/random.ts'
import { runKills } from './kills.ts'
import { Ledger, runLoad } from './load.ts'

test('after kills at random moments nothing acknowledged is lost, and what came twice was in flight at a kill', async t => {
  const seed = freshSeed()
  t.diagnostic(`seed ${seed}`)
  const result = await runKills(
    { rounds: 6, sessions: 8, bodyBytesMax: 1_000_000, lifeMsMax: 500, startKillShare: 1 },
    new Random(seed),
  )
  const { violations, ...figures } = result
  t.diagnostic(JSON.stringify(figures))
  assert.deepEqual(violations, [])
  // It was worth something: there was something to lose, in each state, and starts were hit too.
  const wanted = ['acknowledged', 'large', 'largeInFlight', 'deferred', 'inFlight', 'killedStarting'] as const
  for (const name of wanted) assert.ok(result[name] > 0, `${name}: 0`)
})

test('a killed server’s data folder can be backed up as it lies there', async t => {
  const port = await freePort()
  // Nobody listens where it would deliver to: everything waits.
  const toml = `[[route]]\nrecipient_domain = "*"\nsmarthost = "127.0.0.1:1"\n[[listener]]\naddress = "127.0.0.1:${port}"\nkind = "relay"\nnetworks = ["127.0.0.0/8"]\naccount = "acme"\n`
  await using server = await Postrider.start({ toml })
  await makeAccount(server, 'acme', 'acme.example')
  const ledger = new Ledger()
  const load = { port, from: 'ann@acme.example', sessions: 4, messagesMax: 2000, bodyBytesMax: 100_000 }
  const sending = runLoad(load, ledger, new Random(3))
  while (ledger.acknowledged.size < 30) await sleep(5)
  await server.kill()
  await sending
  const target = join(mkdtempSync(join(tmpdir(), 'postrider-backup-')), 'copy')
  t.after(() => rmSync(join(target, '..'), { recursive: true, force: true }))
  const manifest = backup({ dataDir: server.dataDir, target, nowMs: Date.now() })
  assert.ok(manifest.messages >= ledger.acknowledged.size)
})
