// Copies of the inbox on disk: `<id>.eml` as received, `<id>.json` with envelope and client.
//
// Behind the inbox, never before a reply: a copy that cannot be written is told as `fault` and loses nothing in memory.
// Invariant: the JSON file is written last, so that a pair without it is not whole and is passed over at the start.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { InboxEntry } from './inbox.ts'

/** The folder of an inbox. */
export class InboxFiles {
  readonly #directory: string
  #work: Promise<void> = Promise.resolve()
  #fault: string | null = null

  /** Makes the folder when it is not there; throws the system's error when that fails. */
  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
  }

  /** Why the last copy failed; null when none has. */
  get fault(): string | null {
    return this.#fault
  }

  /** Entries of earlier runs, oldest first; what is not whole is passed over. */
  load(): InboxEntry[] {
    const numbers = readdirSync(this.#directory)
      .map(name => /^lab_(\d{1,15})\.json$/.exec(name)?.[1])
      .filter(number => number !== undefined)
      .sort((a, b) => Number(a) - Number(b))
    return numbers.flatMap(number => this.#read(`lab_${number}`))
  }

  save(entry: InboxEntry): void {
    const { content, ...facts } = entry
    this.#then(async () => {
      await writeFile(this.#path(entry.id, 'eml'), content)
      await writeFile(this.#path(entry.id, 'json'), `${JSON.stringify(facts, null, 2)}\n`)
    })
  }

  remove(id: string): void {
    this.#then(async () => {
      await rm(this.#path(id, 'json'), { force: true })
      await rm(this.#path(id, 'eml'), { force: true })
    })
  }

  /** Resolves when everything asked for so far is done. */
  settled(): Promise<void> {
    return this.#work
  }

  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error: unknown) => {
      this.#fault = String(error)
    })
  }

  #read(id: string): InboxEntry[] {
    try {
      const facts = JSON.parse(readFileSync(this.#path(id, 'json'), 'utf8')) as InboxEntry
      return [{ ...facts, id, content: readFileSync(this.#path(id, 'eml')) }]
    } catch {
      return []
    }
  }

  #path(id: string, ending: 'eml' | 'json'): string {
    return join(this.#directory, `${id}.${ending}`)
  }
}
