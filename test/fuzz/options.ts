// The command line of `npm run fuzz`.

/** What was asked for. */
export interface FuzzArguments {
  /** '' lists the targets. `all`: each for the time given. */
  readonly target: string
  readonly seconds: number
  readonly seed: number | null
  /** Ends after so many inputs, however long that takes. */
  readonly executionsMax: number | null
  /** Writes what was found worth keeping into the corpus of the repository. */
  readonly keeps: boolean
  /** Runs this one file instead of fuzzing. */
  readonly input: string | null
}

export const usage: string = `npm run fuzz -- TARGET [SECONDS] [--seed N] [--executions N] [--keep] [--input FILE]

  TARGET          one of the targets below, or "all"
  SECONDS         how long; 60 by default
  --seed N        the seed of an earlier run, to see the same inputs again
  --executions N  ends after so many inputs
  --keep          adds what ran new code to test/fuzz/corpora
  --input FILE    runs this input alone and says what happens`

/** The arguments as a value; text says what is wrong with them. */
export function readArguments(args: readonly string[]): FuzzArguments | string {
  const plain: string[] = []
  const flags = new Map<string, string>()
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!
    if (!word.startsWith('--')) plain.push(word)
    else if (word === '--keep') flags.set(word, '')
    else if (['--seed', '--executions', '--input'].includes(word)) flags.set(word, args[++at] ?? '')
    else return `unknown flag ${word}`
  }
  const numbers = { seed: flags.get('--seed'), executions: flags.get('--executions'), seconds: plain[1] }
  for (const [name, text] of Object.entries(numbers))
    if (text !== undefined && !/^\d{1,15}$/.test(text)) return `${name} must be a whole number`
  return {
    target: plain[0] ?? '',
    seconds: Number(numbers.seconds ?? 60),
    seed: numbers.seed === undefined ? null : Number(numbers.seed),
    executionsMax: numbers.executions === undefined ? null : Number(numbers.executions),
    keeps: flags.has('--keep'),
    input: flags.get('--input') ?? null,
  }
}
