/** How much an idle TLS session costs: many of them, opened by STARTTLS, against the server's memory before. */
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../test/support/postrider.ts'
import type { Figure, FiguresContext } from '../figures.ts'
import { collectGarbage } from './collect.ts'
import { residentMib, scrape } from './server.ts'
import { openStage } from './stage.ts'

const sessions = 5_000
const warmUp = 500

export async function runIdleSessions({ parent, say }: FiguresContext): Promise<readonly Figure[]> {
  const inspectorPort = await freePort()
  await using stage = await openStage({
    parent,
    toml: `[limits]\nsessions = ${sessions * 2}\nidle = "30m"`,
    env: { NODE_OPTIONS: `--inspect=127.0.0.1:${inspectorPort}` },
  })
  const { generator, server } = stage
  const options = { ...stage.session, usesTls: true }
  const settledMib = async (): Promise<number> => {
    await delay(1_000)
    await collectGarbage(inspectorPort)
    await delay(1_000)
    return residentMib(server.program.processId)
  }
  // Code is compiled and pools are filled by the first sessions, whatever follows.
  await generator.call('openIdle', options, warmUp)
  await generator.call('closeIdle')
  const beforeMib = await settledMib()
  await generator.call('openIdle', options, sessions)
  const afterMib = await settledMib()
  say(`${beforeMib.toFixed(0)} MiB before, ${afterMib.toFixed(0)} MiB with ${sessions} sessions`)
  await generator.call('closeIdle')
  while (((await scrape(server.program)).get('postrider_sessions_open') ?? 0) > 0) await delay(200)
  const leftMib = await settledMib()
  await generator.call('openIdle', options, sessions)
  const againMib = await settledMib()
  return [
    {
      text: `an idle TLS session, growth of resident memory over ${sessions} of them after a collection`,
      value: ((afterMib - beforeMib) * 1024 * 1.024) / sessions,
      unit: ' KB',
      digits: 1,
      bar: { kind: 'below', limit: 75 },
    },
    {
      text: 'resident memory after they have gone, against before',
      value: leftMib - beforeMib,
      unit: ' MiB',
    },
    { text: 'with as many again, against the first time', value: againMib - afterMib, unit: ' MiB' },
  ]
}
