// Dialogues as data: the form of the transcripts in dialogues/, and how they are read.
//
// One file holds the dialogues of one RFC on one side. The same files are played by the two tests beside this file and
// listed in docs/reference/rfc.md, so that what is documented is what was played. The form is told in dialogues/README.md.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Which of the two speakers is Postrider: the other one is the script. */
export type Side = 'server' | 'client'

/** One step of a transcript. */
export interface Step {
  readonly speaker: 'client' | 'server'
  readonly text: string
  /** The step comes so many times; `{n}` counts from 1. */
  readonly times: number
  /** Bytes as they are, without a line end behind them. */
  readonly isRaw: boolean
  readonly line: number
}

/** `supported`; `refused`: an extension or command that is not there, with its reply; `limit`: how much is taken. */
export type Status = 'supported' | 'refused' | 'limit'

/** One dialogue. */
export interface Dialogue {
  readonly rfc: number
  readonly side: Side
  /** `§4.1.1.2`. */
  readonly section: string
  /** A sentence that states the rule. */
  readonly rule: string
  readonly status: Status
  /** Server side: the door and how far the session is before the first line. */
  readonly at: string
  /** Client side: lines of the route. */
  readonly route: readonly string[]
  /** Client side: the submission that makes Postrider send; MAIL and RCPT lines, one content word. */
  readonly submission: readonly string[]
  readonly content: string
  readonly steps: readonly Step[]
  /** Server side: what the message must match when it has been passed on. */
  readonly arrives: readonly RegExp[]
  /** Client side: what the failure report to the sender must match. */
  readonly reports: readonly RegExp[]
  /** Client side: `name kind code enhanced`, one a recipient. */
  readonly outcomes: readonly string[]
  /** `rfc5321-server.txt:12`. */
  readonly place: string
}

/** One file: what it is about and its dialogues. */
export interface DialogueFile {
  readonly name: string
  readonly rfc: number
  readonly title: string
  readonly side: Side
  readonly about: string
  readonly dialogues: readonly Dialogue[]
}

const folder = join(import.meta.dirname, 'dialogues')

/** All files of a side (of both without one), by RFC. Throws for a file that does not keep the form. */
export function readDialogues(side?: Side): DialogueFile[] {
  const files = globSync('*.txt', { cwd: folder }).map(name =>
    parseDialogues(name, readFileSync(join(folder, name), 'utf8')),
  )
  return files
    .filter(file => side === undefined || file.side === side)
    .sort((a, b) => a.rfc - b.rfc || a.side.localeCompare(b.side) || a.name.localeCompare(b.name))
}

interface Head {
  rfc: number
  title: string
  side: Side
  about: string
}

type Draft = { -readonly [K in keyof Dialogue]: Dialogue[K] extends readonly (infer T)[] ? T[] : Dialogue[K] }

/** Reads one file. */
export function parseDialogues(name: string, text: string): DialogueFile {
  const head: Head = { rfc: -1, title: '', side: 'server', about: '' }
  const dialogues: Draft[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const place = `${name}:${index + 1}`
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('= ')) dialogues.push(begin(head, line.slice(2), place))
    else {
      const open = dialogues.at(-1)
      const isRead = open === undefined ? readHead(head, line) : readLine(open, line, index + 1)
      if (!isRead) throw new Error(`${place}: no line of a dialogue: ${line}`)
    }
  }
  if (head.rfc < 0 || head.title === '') throw new Error(`${name}: "rfc:" or "title:" is missing`)
  for (const one of dialogues)
    if (one.steps.length === 0 && one.arrives.length === 0) throw new Error(`${one.place}: nothing is said`)
  return { name, ...head, about: head.about.trim(), dialogues }
}

function begin(head: Head, title: string, place: string): Draft {
  const match = /^(§[\w.]+) (.+)$/.exec(title)
  if (match === null) throw new Error(`${place}: write "= §section rule"`)
  const lists = { route: [], submission: [], steps: [], arrives: [], reports: [], outcomes: [] }
  const { rfc, side } = head
  const plain = { status: 'supported', at: 'relay', content: 'plain' } as const
  return { rfc, side, section: match[1]!, rule: match[2]!, ...plain, ...lists, place }
}

function readHead(head: Head, line: string): boolean {
  const [, key = '', value = ''] = /^(\w+): (.+)$/.exec(line) ?? []
  if (key === 'rfc') head.rfc = Number(value)
  else if (key === 'title') head.title = value
  else if (key === 'side' && (value === 'server' || value === 'client')) head.side = value
  else if (key === 'about') head.about += `${value} `
  else return false
  return true
}

const statuses: readonly Status[] = ['supported', 'refused', 'limit']

function readLine(open: Draft, line: string, number: number): boolean {
  const step = /^([CScs])(?:\*(\d+))?: ?(.*)$/.exec(line)
  if (step !== null) {
    const [, speaker = '', times = '1', text = ''] = step
    open.steps.push({
      speaker: speaker.toUpperCase() === 'C' ? 'client' : 'server',
      text,
      times: Number(times),
      isRaw: speaker === speaker.toLowerCase(),
      line: number,
    })
    return true
  }
  const [, key = '', value = ''] = /^(\w+): (.+)$/.exec(line) ?? []
  if (key === 'status' && statuses.includes(value as Status)) open.status = value as Status
  else if (key === 'at') open.at = value
  else if (key === 'route') open.route.push(value)
  else if (key === 'send') open.submission.push(value)
  else if (key === 'content') open.content = value
  else if (key === 'arrives') open.arrives.push(new RegExp(value, 'ms'))
  else if (key === 'report') open.reports.push(new RegExp(value, 'ms'))
  else if (key === 'outcome') open.outcomes.push(value)
  else return false
  return true
}

/** Replaces `{name}`, and `{text*20}` by twenty times that text. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{([^{}]+?)(?:\*(\d+))?\}/g, (whole, name: string, times?: string) => {
    if (times !== undefined) return (values[name] ?? name).repeat(Number(times))
    return values[name] ?? whole
  })
}

/** `\r \n \t \0 \\ \xNN` as the bytes they mean; other characters as UTF-8. */
export function bytesOf(text: string): Buffer {
  const parts = text.split(/(\\x[0-9A-Fa-f]{2}|\\[rnt0\\])/).map(part => {
    if (part.startsWith('\\x')) return Buffer.from(part.slice(2), 'hex')
    const named = { '\\r': '\r', '\\n': '\n', '\\t': '\t', '\\0': '\0', '\\\\': '\\' }[part]
    return Buffer.from(named ?? part, 'utf8')
  })
  return Buffer.concat(parts)
}
