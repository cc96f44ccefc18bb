// A page of docs as the tests run it: its code blocks are the configuration, so that page and test agree.
//
// The word behind a block's language says what it is. `ini .msmtprc` is a file of that name; `sh` is the command that
// sends, `sh NAME` another one; `diff NAME` is a change to the blocks above: lines with - are replaced by those with +.

import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** The folder of the pages. */
export const pagesFolder: string = join(import.meta.dirname, '../../../docs/start/send-from')

/** Text to be replaced and what stands in its place; the old one must be there exactly once. */
export type Change = readonly [before: string, after: string]

/** What a page has one do. */
export interface ConfigPage {
  readonly name: string
  /** Files by name. */
  readonly files: ReadonlyMap<string, string>
  /** Commands by name; the one that sends has the name ''. */
  readonly commands: ReadonlyMap<string, string>
  /** What to change for `port-465` and `auth-login`. */
  readonly changes: ReadonlyMap<string, readonly Change[]>
}

const block = /^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm

/** A page of docs/start/send-from. */
export function readSendPage(name: string): Promise<ConfigPage> {
  return readPage(join(pagesFolder, `${name}.md`))
}

export async function readPage(path: string): Promise<ConfigPage> {
  const name = basename(path, '.md')
  const text = await readFile(path, 'utf8')
  const files = new Map<string, string>()
  const commands = new Map<string, string>()
  const changes = new Map<string, readonly Change[]>()
  for (const [, language, word = '', content = ''] of text.matchAll(block)) {
    if (language === 'sh') commands.set(word, content)
    else if (language === 'diff') changes.set(word, parseChanges(content))
    else if (word !== '') files.set(word, content)
  }
  return { name, files, commands, changes }
}

function parseChanges(text: string): readonly Change[] {
  const groups = text.matchAll(/((?:^-.*\n)+)((?:^\+.*\n)+)/gm)
  return [...groups].map(([, before, after]) => [stripped(before), stripped(after)])
}

/** Without the sign in front of each line and the last line end. */
function stripped(lines = ''): string {
  return lines.replaceAll(/^./gm, '').slice(0, -1)
}

/** The page after changes; throws when a text to be replaced is not there exactly once. */
export function changed(page: ConfigPage, changes: readonly Change[]): ConfigPage {
  let { files, commands } = page
  for (const [before, after] of changes) {
    let times = 0
    const edit = (blocks: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
      new Map(
        [...blocks].map(([name, text]) => {
          const parts = text.split(before)
          times += parts.length - 1
          return [name, parts.join(after)]
        }),
      )
    const edited = { files: edit(files), commands: edit(commands) }
    if (times !== 1) throw new Error(`${page.name}: ${JSON.stringify(before)} is there ${times} times`)
    files = edited.files
    commands = edited.commands
  }
  return { ...page, files, commands }
}

/** The page with the example values of all pages replaced; each pair counts wherever it occurs. */
export function filledIn(
  page: ConfigPage,
  values: readonly (readonly [example: RegExp, value: string])[],
): ConfigPage {
  const fill = (text: string): string =>
    values.reduce((filled, [example, value]) => filled.replaceAll(example, () => value), text)
  const all = (blocks: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
    new Map([...blocks].map(([name, text]) => [name, fill(text)]))
  return { ...page, files: all(page.files), commands: all(page.commands) }
}
