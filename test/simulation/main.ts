// `npm run simulate -- --seed N --hours H`: simulated histories of queue, scheduling and delivery.
//
// Exit code 1 when a rule was broken; the seed that shows it is printed, and shows it again.

import { freshSeed } from '../support/random.ts'
import { againWords, readArguments, type SimulateArguments, usage } from './options.ts'
import { simulate } from './simulation.ts'

async function main(): Promise<void> {
  const given = readArguments(process.argv.slice(2))
  if (typeof given === 'string') {
    console.error(`${given}\n\n${usage}`)
    process.exitCode = 2
    return
  }
  const first = given.seed ?? freshSeed()
  for (let seed = first; seed < first + given.count; seed++) if (!(await runOne(seed, given))) return
}

/** @returns false when a rule was broken. */
async function runOne(seed: number, { hours, rate, isJson }: SimulateArguments): Promise<boolean> {
  const startedMs = performance.now()
  const seconds = (): number => Math.round((performance.now() - startedMs) / 100) / 10
  let hour = 0
  try {
    const result = await simulate({
      seed,
      hours,
      rate,
      onHour: progress => {
        hour = progress.hour
        if (isJson || hour % Math.max(1, Math.round(hours / 20)) !== 0) return
        const { accepted, delivered } = progress.counts
        console.log(
          `  hour ${hour}: ${accepted} accepted, ${delivered} delivered, ${progress.open} open, ${seconds()} s`,
        )
      },
    })
    const rssBytes = process.memoryUsage().rss
    if (isJson) console.log(JSON.stringify({ seed, hours, rate, seconds: seconds(), rssBytes, ...result }))
    else {
      console.log(
        `seed ${seed}: ${hours} hours held in ${seconds()} s, ${Math.round(rssBytes / 2 ** 20)} MiB resident`,
      )
      console.log(`  ${listed(result.counts)}`)
      console.log(
        `  ${listed(result.faults)}, ${result.judged} waits judged (longest ${Math.round(result.slowestWaitMs / 1000)} s), at most ${result.openMost} open`,
      )
      console.log(`  history ${result.digest.slice(0, 16)}`)
    }
    return true
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (isJson) console.log(JSON.stringify({ seed, hours, rate, hour, broken: why }))
    else {
      console.log(`seed ${seed}: BROKEN in hour ${hour + 1}: ${why}`)
      if (error instanceof Error) console.log(error.stack?.split('\n').slice(1, 6).join('\n'))
      console.log(`  again: ${againWords({ seed, hours, rate })}`)
    }
    process.exitCode = 1
    return false
  }
}

const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')

await main()
