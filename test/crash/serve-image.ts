// Starts the whole server on what a power cut left, lets it finish everything, and judges what became of it (judge.ts):
// each recipient has its one end, which is the one that the receiver made; what is delivered came, now or before the cut;
// nothing comes twice in this life, which nobody kills; contents, prefixes and signatures are right.
//
// Slower than check-image.ts by a hundred times, so it is for a sample: it shows that the parts that were tried one by one
// also work together, that the first run comes to its end, and that new mail is served.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SmtpClient } from '../scenario/support/client.ts'
import { waitForEvents } from '../scenario/support/house.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { Random } from '../support/random.ts'
import { isSettled, judge } from './judge.ts'
import { Ledger, runLoad } from './load.ts'
import { keyRecordsIn } from './prefixes.ts'
import { CrashReceiver } from './receiver.ts'
import { type Expected, senderDomain, settings } from './recording.ts'

/** All that is wrong; empty when nothing is. @param folder holds `data`. */
export async function serveImage(
  folder: string,
  expected: Expected,
  timeoutMs: number = 60_000,
): Promise<string[]> {
  const ledger = expected.ledger.copy()
  await using receiver = await CrashReceiver.start(ledger)
  const port = await freePort()
  const env = settings(port, receiver.port)
  const wrong: string[] = []
  try {
    const server = await Postrider.start({ toml: null, folder, env })
    try {
      await login(port, join(folder, 'data'))
      const fresh = new Ledger(1_000_000)
      const load = {
        port,
        from: `ann@${senderDomain}`,
        sessions: 1,
        messagesMax: 3,
        bodyBytesMax: 100_000,
        onSent: (sent: Parameters<Ledger['note']>[0]) => ledger.note(sent),
      }
      await runLoad(load, fresh, new Random(1))
      if (fresh.acknowledged.size < 3) wrong.push('new messages are not accepted')
      const events = await waitForEvents(server, isSettled, timeoutMs)
      const known = new Map([...expected.ledger.acknowledged, ...fresh.acknowledged])
      const ids = [...expected.acknowledged, ...fresh.acknowledged.keys()]
      // The process may have been killed before the client could read the reply.
      const acknowledged = new Map(ids.map(id => [id, known.get(id)?.to ?? null]))
      const { arrived: arrivedBefore } = expected
      const { arrivals, damaged } = receiver
      wrong.push(...judge({ acknowledged, events, arrivals, kills: [], arrivedBefore }).wrong, ...damaged)
      wrong.push(...(await ledger.prefixes.verify(() => keyRecordsIn(join(folder, 'data')))))
      const code = await server.stop()
      if (code !== 0) wrong.push(`it ended with ${code}`)
    } finally {
      await server.kill()
    }
  } catch (error) {
    wrong.push(`the server: ${(error as Error).message}`)
  }
  return wrong
}

/** With what first-run.json says. */
async function login(port: number, dataDir: string): Promise<void> {
  const { username, secret } = JSON.parse(readFileSync(join(dataDir, 'first-run.json'), 'utf8')) as {
    username: string
    secret: string
  }
  await using client = await SmtpClient.connect(port)
  await client.login(username, secret)
}
