// The command line of `npm run simulate`.

/** What was asked for. */
export interface SimulateArguments {
  /** Null: a fresh one each time. */
  readonly seed: number | null
  readonly hours: number
  /** Histories in a row, with the seeds that follow. */
  readonly count: number
  readonly rate: number
  readonly isJson: boolean
}

export const usage: string = `npm run simulate -- [--seed N] [--hours H] [--count N] [--rate R] [--json]

  --seed N    the seed of the first history; printed when it was not given
  --hours H   simulated hours of traffic, 24 by default; then the queue is emptied
  --count N   so many histories, with seeds N, N+1, …; 1 by default
  --rate R    so many times the ordinary traffic, 1 by default
  --json      one line of JSON a history`

/** What to type to have a history again. */
export function againWords({
  seed,
  hours,
  rate,
}: Pick<SimulateArguments, 'hours' | 'rate'> & { seed: number }): string {
  return `npm run simulate -- --seed ${seed} --hours ${hours} --rate ${rate}`
}

/** The arguments as a value; text says what is wrong with them. */
export function readArguments(args: readonly string[]): SimulateArguments | string {
  const given = new Map<string, string>()
  let isJson = false
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!
    if (word === '--json') isJson = true
    else if (['--seed', '--hours', '--count', '--rate'].includes(word)) given.set(word, args[++at] ?? '')
    else return `unknown argument ${word}`
  }
  for (const [flag, text] of given)
    if (!/^\d{1,12}(\.\d+)?$/.test(text) || (flag !== '--rate' && text.includes('.')))
      return `${flag} needs a number`
  const seed = given.get('--seed')
  return {
    seed: seed === undefined ? null : Number(seed),
    hours: Number(given.get('--hours') ?? 24),
    count: Number(given.get('--count') ?? 1),
    rate: Number(given.get('--rate') ?? 1),
    isJson,
  }
}
