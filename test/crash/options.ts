// The command line of the crash campaigns.

import { parseArgs } from 'node:util'
import { freshSeed } from '../support/random.ts'

export interface CrashOptions {
  readonly rounds: number
  readonly images: number
  /** Images on which the whole server is started: one of so many. 0: none. */
  readonly serveEvery: number
  readonly seed: number
  /** After so long a campaign ends with what it has; it reports how far it came. */
  readonly secondsMax: number
  readonly keeps: boolean
  readonly isJson: boolean
}

export const usage: string = `npm run test:crash -- [options]
  --rounds N       kill the server so many times under load (SIGKILL), and restart it on the same data
  --images N       rebuild the disk as so many power cuts would have left it, and open each
  --serve-every N  start the whole server on every Nth image and let it finish (default 100; 0: never)
  --seed N         the same choices again (of moments, sizes and cuts; the timing of the load stays its own)
  --seconds N      end each campaign after so long, with what it has shown by then
  --keep           keep the folders of images that broke a promise
  --json           results as JSON on standard output
Without --rounds and --images: 10 rounds and 500 images. Needs strace (Debian: apt-get install strace).
`

/** Reads the arguments. A string is to be printed instead. */
export function readOptions(args: readonly string[]): CrashOptions | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        images: { type: 'string' },
        'serve-every': { type: 'string', default: '100' },
        seed: { type: 'string' },
        seconds: { type: 'string' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return usage
    const isDefault = values.rounds === undefined && values.images === undefined
    return {
      rounds: count('--rounds', values.rounds ?? (isDefault ? '10' : '0')),
      images: count('--images', values.images ?? (isDefault ? '500' : '0')),
      serveEvery: count('--serve-every', values['serve-every']),
      seed: values.seed === undefined ? freshSeed() : count('--seed', values.seed),
      secondsMax:
        values.seconds === undefined ? Number.POSITIVE_INFINITY : count('--seconds', values.seconds),
      keeps: values.keep,
      isJson: values.json,
    }
  } catch (error) {
    return `${(error as Error).message}\n\n${usage}`
  }
}

function count(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${flag} takes a number, not ${text}`)
  return value
}
