/** The command line of the bench. */
import { parseArgs } from 'node:util'
import type { FiguresScenario } from './figures.ts'
import { type Peer, peers } from './peers/index.ts'
import { figureScenarios, type Scenario, scenarios } from './scenarios.ts'

export interface BenchOptions {
  readonly scenarios: readonly Scenario[]
  readonly figureScenarios: readonly FiguresScenario[]
  readonly peers: readonly Peer[]
  /** Overrides each load scenario's own number. */
  readonly messages: number | undefined
  readonly rounds: number
  readonly isJson: boolean
  readonly isWriting: boolean
  /** Told among the conditions. */
  readonly note: string
}

export const usage: string = `npm run bench -- [options]
  --only 4k,signed        scenarios: ${scenarios.map(one => one.name).join(', ')}
                          and of our own: ${figureScenarios.map(one => one.name).join(', ')}
                          (default: all but ${figureScenarios
                            .filter(one => one.isOnDemand === true)
                            .map(one => one.name)
                            .join(', ')})
  --peers postrider,…     servers: ${peers.map(one => one.name).join(', ')} (default: all)
  --messages N            messages a run, instead of each scenario's own number
  --rounds N              runs of each server and scenario, medians count (default 3)
  --json                  results as JSON on standard output
  --write                 write what was measured into docs/operating/performance.md; the rest of the page stays
  --note TEXT             told among the conditions, for instance "at nice 19, beside other work"
`

/** Read the arguments. A string is a usage error to print. */
export function readOptions(args: readonly string[]): BenchOptions | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string' },
        peers: { type: 'string' },
        messages: { type: 'string' },
        rounds: { type: 'string', default: '3' },
        json: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        note: { type: 'string', default: '' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return usage
    return {
      ...chooseScenarios(values.only),
      peers: choose('server', peers, values.peers),
      messages: values.messages === undefined ? undefined : count('--messages', values.messages),
      rounds: count('--rounds', values.rounds),
      isJson: values.json,
      isWriting: values.write,
      note: values.note,
    }
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n\n${usage}`
  }
}

function chooseScenarios(names: string | undefined): Pick<BenchOptions, 'scenarios' | 'figureScenarios'> {
  const chosen = choose<Scenario | FiguresScenario>('scenario', [...scenarios, ...figureScenarios], names)
  const isWanted = (one: FiguresScenario): boolean => names !== undefined || one.isOnDemand !== true
  return {
    scenarios: chosen.filter(one => one.kind !== 'figures'),
    figureScenarios: chosen.filter(one => one.kind === 'figures').filter(isWanted),
  }
}

function choose<Named extends { readonly name: string }>(
  what: string,
  all: readonly Named[],
  names: string | undefined,
): readonly Named[] {
  if (names === undefined) return all
  const wanted = names.split(',').map(name => name.trim())
  const unknown = wanted.filter(name => !all.some(one => one.name === name))
  if (unknown.length > 0) throw new Error(`there is no ${what} called ${unknown.join(', ')}`)
  return all.filter(one => wanted.includes(one.name))
}

function count(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${flag} takes a positive number, not ${text}`)
  return value
}
