// Lists that come in pages: `message list` and `queue list`.
//
// A list is an array in JSON (the contract), so that the cursor of the next page has no place in it: people get the
// command for it, ready to paste, on standard error; programs ask for `--page` and get `{items, cursor}`.

import type { Command } from 'commander'
import { shellWord } from '../base/index.ts'
import type { Cli } from './cli.ts'
import { whole } from './options.ts'

/** A page as the server gives it: `cursor` is null where the list ends. */
export interface Page<Row> {
  readonly items: readonly Row[]
  readonly cursor: string | null
}

/** The options of such a list. */
export interface PageOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly page?: boolean
}

/** Adds them. @param limitDefault that of the server, for the help text */
export function withPages(command: Command, limitDefault: number): Command {
  return command
    .option('--limit <count>', `at most so many (default: ${limitDefault})`, whole(1, 1000))
    .option('--cursor <cursor>', 'go on where an earlier list of the queue ended')
    .option('--page', 'with --json: {"items": […], "cursor": …} instead of the list alone; null ends it')
}

/** Prints a page; with more to come it says how to go on. @param command the one that was given */
export async function printPage<Row>(
  cli: Cli,
  command: Command,
  { items, cursor }: Page<Row>,
  isWhole: boolean,
  human: (rows: readonly Row[]) => string,
): Promise<void> {
  if (cli.isJson && isWhole) {
    await cli.print({ items, cursor }, () => '')
    return
  }
  await cli.print(items, human)
  if (cursor !== null) await cli.tell(`more: ${nextCommand(command, cursor)}`)
}

/** The command line that was given, with this cursor. */
function nextCommand(command: Command, cursor: string): string {
  const names: string[] = []
  const options: string[] = []
  for (let one: Command | null = command; one !== null; one = one.parent) {
    names.unshift(one.name())
    for (const option of one.options) {
      const name = option.attributeName()
      if (name === 'cursor' || one.getOptionValueSource(name) !== 'cli') continue
      const value: unknown = one.getOptionValue(name)
      options.push(`--${option.name()}`, ...(value === true ? [] : [String(value)]))
    }
  }
  return [...names, ...command.args, ...options, '--cursor', cursor].map(shellWord).join(' ')
}
