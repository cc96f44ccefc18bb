// Starts the whole server on what a power cut left, lets it finish everything, and holds the log against the receiver.
//
// Slower than check-image.ts by a hundred times, so it is for a sample: it shows that the parts that were tried one by one
// also work together, that the first run comes to its end, and that new mail is served.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SmtpClient } from '../scenario/support/client.ts'
import { type ShownEvent, waitForEvents } from '../scenario/support/house.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import { Random } from '../support/random.ts'
import { Ledger, runLoad } from './load.ts'
import { CrashReceiver } from './receiver.ts'
import { type Expected, senderDomain, settings } from './recording.ts'

/** All that is wrong; empty when nothing is. @param folder holds `data`. */
export async function serveImage(folder: string, expected: Expected): Promise<string[]> {
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
      const ids = [...expected.acknowledged, ...fresh.acknowledged.keys()]
      const events = await waitForEvents(server, isSettled, 60_000)
      wrong.push(...endsMissing(ids, events), ...receiver.damaged)
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

const finalTypes = ['delivered', 'bounced', 'expired']

/** True when every recipient of every message in the log has come to its end. */
export function isSettled(events: readonly ShownEvent[]): boolean {
  const open = new Set<string>()
  for (const event of events)
    if (event.type === 'accepted') {
      const { forwardPaths } = event as unknown as { forwardPaths: string[] }
      for (const number of forwardPaths.keys()) open.add(`${event.messageId}.${number}`)
    } else if (finalTypes.includes(event.type)) open.delete(event.recipientId!)
  return open.size === 0
}

/** Messages without an `accepted` event, and recipients with more than one end. */
function endsMissing(ids: readonly string[], events: readonly ShownEvent[]): string[] {
  const accepted = new Set(events.filter(({ type }) => type === 'accepted').map(event => event.messageId))
  const wrong = ids.filter(id => !accepted.has(id)).map(id => `${id} is not in the log`)
  const ended = new Set<string>()
  for (const { type, recipientId } of events) {
    if (!finalTypes.includes(type)) continue
    if (ended.has(recipientId!)) wrong.push(`${recipientId} has two ends`)
    ended.add(recipientId!)
  }
  return wrong
}
