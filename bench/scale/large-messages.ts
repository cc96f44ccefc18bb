/** Twenty messages of 25 MB at once, several times over: what memory takes while they are streamed in and out. */
import type { Figure, FiguresContext } from '../figures.ts'
import { residentMib } from './server.ts'
import { openStage, peakWhile } from './stage.ts'

const sessions = 20
const messages = 40
const bodySizeBytes = 25_000_000
/** 400 MB. */
const limitMib = 381

export async function runLargeMessages({ parent, say }: FiguresContext): Promise<readonly Figure[]> {
  await using stage = await openStage({ parent })
  const { generator, sink, server } = stage
  const idleMib = residentMib(server.program.processId)
  const { peakMib, result } = await peakWhile(
    () => residentMib(server.program.processId),
    async () => {
      const load = await generator.call('run', {
        ...stage.session,
        sessions,
        bodySizeBytes,
        firstMessage: 0,
        messages,
        ratePerSecond: null,
        isTolerant: false,
      })
      return { load, endMs: await sink.call('waitFor', messages) }
    },
  )
  say(`${idleMib.toFixed(0)} MiB idle, ${peakMib.toFixed(0)} MiB at most`)
  const megabytes = (messages * bodySizeBytes) / 1e6
  return [
    {
      text: `resident memory with ${sessions} messages of 25 MB at once`,
      value: peakMib,
      unit: ' MiB',
      bar: { kind: 'below', limit: limitMib },
    },
    {
      text: `their rate, in and out`,
      value: megabytes / ((result.endMs - result.load.startedMs) / 1000),
      unit: ' MB/s',
    },
  ]
}
