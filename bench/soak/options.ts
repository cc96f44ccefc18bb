/** The command line of the soak. */
import { parseArgs } from 'node:util'

export interface SoakOptions {
  readonly minutes: number
  /** Messages a second; null: 70 % of what a short run without faults reaches. */
  readonly ratePerSecond: number | null
  readonly seed: number
  readonly bodySizeBytes: number
  readonly sessions: number
  /** The receiver is absent after so many seconds, again and again. */
  readonly awayEverySeconds: number
}

export const usage: string = `npm run soak -- [options]
  --minutes N   how long the load lasts (default 60)
  --rate N      messages a second (default: 70 % of the rate that a short run without faults reaches)
  --size N      bytes of a body (default 4096)
  --sessions N  client sessions (default 50)
  --away N      the receiver is away for 20 seconds every N seconds (default 300)
  --seed N      seed of the receiver's faults (default: drawn, and printed)
`

/** A string is a usage error to print. */
export function readSoakOptions(args: readonly string[]): SoakOptions | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '60' },
        rate: { type: 'string' },
        size: { type: 'string', default: '4096' },
        sessions: { type: 'string', default: '50' },
        away: { type: 'string', default: '300' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return usage
    return {
      minutes: positive('--minutes', values.minutes),
      ratePerSecond: values.rate === undefined ? null : positive('--rate', values.rate),
      seed: positive('--seed', values.seed),
      bodySizeBytes: positive('--size', values.size),
      sessions: positive('--sessions', values.sessions),
      awayEverySeconds: positive('--away', values.away),
    }
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n\n${usage}`
  }
}

function positive(flag: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`${flag} takes a positive number, not ${text}`)
  return value
}
