// A data folder as a kill leaves it, with mail that waits: for tests that damage it and ask a judge.

import { mkdirSync } from 'node:fs'
import { freePort, Postrider } from '../support/postrider.ts'
import { Random } from '../support/random.ts'
import { Ledger, runLoad } from './load.ts'
import { type Expected, senderDomain, settings } from './recording.ts'

/** Fills `folder` and kills the server; nothing of the mail has been delivered. */
export async function killedFolder(folder: string, messages: number): Promise<Expected> {
  mkdirSync(folder)
  const port = await freePort()
  // Nobody listens where it would deliver to: everything waits.
  const server = await Postrider.start({ toml: null, folder, env: settings(port, 1) })
  const ledger = new Ledger()
  const load = { port, from: `ann@${senderDomain}`, sessions: 2, messagesMax: messages, bodyBytesMax: 60_000 }
  await runLoad(load, ledger, new Random(5))
  await server.kill()
  return { acknowledged: new Set(ledger.acknowledged.keys()), ledger, arrived: new Set() }
}
