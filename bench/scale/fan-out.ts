/**
 * One message to a thousand recipients at fifty sites, and a thousand messages with a return path each.
 *
 * Plan: 1. with the receivers down, see what the store keeps of such a message; 2. receivers up: from the first command of
 * the session to the last arrival; 3. the same recipients with a return path each.
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import type { Figure, FiguresContext } from '../figures.ts'
import { control } from './server.ts'
import { openStage, type Stage } from './stage.ts'

const recipients = 1_000
const sites = 50
const rounds = 5

export async function runFanOut({ parent, say }: FiguresContext): Promise<readonly Figure[]> {
  await using stage = await openStage({ parent, domains: sites })
  const load = { ...stage.session, firstMessage: 0, ratePerSecond: null, isTolerant: false }
  const { sink, generator } = stage
  await sink.call('shut')
  await generator.call('run', { ...load, sessions: 1, messages: 1, recipientsPerMessage: recipients })
  await untilDeferred(stage)
  const stored = countStored(stage)
  await control(stage.server.program, 'queue.act', { action: 'expire' })
  await sink.call('open')
  const shared: number[] = []
  const own: number[] = []
  for (let round = 0; round < rounds; round++) {
    shared.push(await timed(stage, { ...load, sessions: 1, messages: 1, recipientsPerMessage: recipients }))
    own.push(await timed(stage, { ...load, sessions: 50, messages: recipients, hasOwnReturnPath: true }))
  }
  say(
    `shared ${shared.map(ms => ms.toFixed(0)).join(', ')} ms; own ${own.map(ms => ms.toFixed(0)).join(', ')} ms`,
  )
  return [
    {
      text: `contents kept of a message to ${recipients} recipients`,
      value: stored.contents,
      unit: '',
      bar: { kind: 'below', limit: 2 },
    },
    { text: 'and its recipients in the queue', value: stored.recipients, unit: '' },
    {
      text: `one message to ${recipients} recipients at ${sites} sites, first command to last delivery, median of ${rounds}`,
      value: median(shared) / 1000,
      unit: ' s',
      digits: 2,
      bar: { kind: 'below', limit: 1 },
    },
    {
      text: `the same recipients with a return path each (one message each: the product has no VERP yet)`,
      value: median(own) / 1000,
      unit: ' s',
      digits: 2,
      bar: { kind: 'below', limit: 2 },
    },
  ]
}

async function timed(
  stage: Stage,
  load: Parameters<Stage['generator']['call']>[1] & object,
): Promise<number> {
  const before = (await stage.sink.call('counts')).recipients
  const { startedMs } = await stage.generator.call('run', load as never)
  return (await stage.sink.call('waitFor', before + recipients)) - startedMs
}

async function untilDeferred(stage: Stage): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const counts = (await control(stage.server.program, 'queue.count')) as { scheduled: number }
    if (counts.scheduled === recipients) return
    await delay(100)
  }
  throw new Error('the recipients were not deferred within a minute')
}

/** Read-only, beside the server. */
function countStored(stage: Stage): { readonly contents: number; readonly recipients: number } {
  const db = new DatabaseSync(join(stage.server.program.dataDir, 'postrider.db'), { readOnly: true })
  const count = (table: string): number =>
    Number((db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n)
  try {
    return { contents: count('content') + count('segment_content'), recipients: count('recipient') }
  } finally {
    db.close()
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN
}
