/**
 * How much an idle TLS session costs: many of them, opened by STARTTLS, against the server's memory at its start; and again
 * when they have gone and as many come anew, as behind a load balancer that restarts. What the C library keeps of one wave
 * is not always of use to the next, so each is held to the same bar.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../test/support/postrider.ts'
import type { Figure, FiguresContext } from '../figures.ts'
import { collectGarbage } from './collect.ts'
import { residentMib, scrape } from './server.ts'
import { openStage } from './stage.ts'

const sessions = 5_000
const waves = 6
/** Code is compiled and pools are filled by the first sessions, whatever follows. Few: what they leave belongs to nobody. */
const warmUp = 50

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
  const closeAll = async (): Promise<void> => {
    await generator.call('closeIdle')
    while (((await scrape(server.program)).get('postrider_sessions_open') ?? 0) > 0) await delay(200)
  }
  await generator.call('openIdle', options, warmUp)
  await closeAll()
  const beforeMib = await settledMib()
  const openMib: number[] = []
  let goneMib = beforeMib
  for (let wave = 1; wave <= waves; wave++) {
    await generator.call('openIdle', options, sessions)
    const mib = await settledMib()
    openMib.push(mib)
    await closeAll()
    goneMib = await settledMib()
    say(
      `wave ${wave}: ${beforeMib.toFixed(0)} MiB before all, ${mib.toFixed(0)} open, ${goneMib.toFixed(0)} gone`,
    )
  }
  const [last, before] = openMib.slice(-2).reverse() as [number, number]
  return [
    ...openMib.map(
      (mib, index): Figure => ({
        text: `an idle TLS session, growth of resident memory over ${sessions} of them after a collection, wave ${index + 1}`,
        value: ((mib - beforeMib) * 1024 * 1.024) / sessions,
        unit: ' KB',
        digits: 1,
        bar: { kind: 'below', limit: 75 },
      }),
    ),
    {
      text: `growth from wave ${waves - 1} to wave ${waves}`,
      value: last - before,
      unit: ' MiB',
      bar: { kind: 'below', limit: 10 },
    },
    {
      text: `resident memory after wave ${waves} has gone, against before all`,
      value: goneMib - beforeMib,
      unit: ' MiB',
    },
  ]
}
