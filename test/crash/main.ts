// `npm run test:crash`: the kill campaign and the crash-image campaign, as long as wanted.

import { Random } from '../support/random.ts'
import { runCampaign } from './campaign.ts'
import { runKills } from './kills.ts'
import { type CrashOptions, readOptions } from './options.ts'

const defaultSessions = 8
const imagesPerStory = 1000

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (typeof options === 'string') {
    process.stderr.write(options)
    process.exitCode = 2
    return
  }
  const startedMs = performance.now()
  say(options, `seed ${options.seed}\n`)
  const kills = options.rounds === 0 ? null : await kill(options)
  const images = options.images === 0 ? null : await cut(options)
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  if (options.isJson)
    process.stdout.write(`${JSON.stringify({ seed: options.seed, seconds, kills, images }, null, 2)}\n`)
  const violations = [...(kills?.violations ?? []), ...(images?.violations ?? [])]
  say(options, violations.length === 0 ? `nothing lost, ${seconds} s\n` : `${violations.length} BROKEN\n`)
  if (violations.length > 0) process.exitCode = 1
}

async function kill(options: CrashOptions): Promise<Awaited<ReturnType<typeof runKills>>> {
  const { rounds } = options
  const result = await runKills(
    {
      rounds,
      sessions: defaultSessions,
      bodyBytesMax: 5_000_000,
      lifeMsMax: 600,
      isOver: overAfter(options),
      onProgress: (round, acknowledged) =>
        progress(`round ${round} of ${rounds}, ${acknowledged} messages acknowledged`),
    },
    new Random(options.seed),
  )
  progress('')
  const { violations, ...figures } = result
  say(options, `${table(figures)}\n`)
  for (const violation of violations.slice(0, 20)) say(options, `  ${violation}\n`)
  return result
}

async function cut(options: CrashOptions): Promise<Awaited<ReturnType<typeof runCampaign>>> {
  const { images, serveEvery, keeps } = options
  const result = await runCampaign(
    {
      images,
      imagesPerStory,
      serveEvery,
      keeps,
      isOver: overAfter(options),
      onProgress: (done, what) => progress(`image ${done} of ${images}: ${what}`),
    },
    new Random(options.seed),
  )
  progress('')
  const { violations, byCut, byPlace, ...figures } = result
  say(options, `${table(figures)}\n${table(byPlace)}\n${table(byCut)}\n`)
  for (const { at, where, cut: how, wrong, folder } of violations.slice(0, 20))
    say(
      options,
      `  after operation ${at} (${where}), ${how.name}: ${wrong.slice(0, 3).join('; ')} ${folder}\n`,
    )
  return result
}

function table(figures: Readonly<Record<string, number>>): string {
  return Object.entries(figures)
    .map(([name, value]) => `  ${String(value).padStart(14)}  ${name}`)
    .join('\n')
}

function overAfter({ secondsMax }: CrashOptions): () => boolean {
  const endMs = performance.now() + secondsMax * 1000
  return () => performance.now() > endMs
}

/** People read it on a terminal; with --json standard output is for the result. */
function say(options: CrashOptions, text: string): void {
  if (options.isJson) process.stderr.write(text)
  else process.stdout.write(text)
}

/** One line that is written over, on a terminal only. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

await main()
