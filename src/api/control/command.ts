// A control command: a function from checked arguments to an outcome, in a table by name.
//
// Place on the path: off it. Arguments come from outside: each is checked when it is read, and one that no command has
// read is an error, so that a misspelt filter never means "everything".

import type { ControlOutcome } from './wire.ts'
import { failed } from './wire.ts'

/** What a running command has of its connection. */
export interface ControlCall {
  /** Sends one item; resolves when more may be sent. After the peer has gone it does nothing. */
  item(value: unknown): Promise<void>
  /** Aborted when the peer has gone or the server ends. */
  readonly signal: AbortSignal
}

/** Runs one command. What it throws is an operational error: it is shown with its message and the code `internal`. */
export type ControlCommand = (given: Arguments, call: ControlCall) => Promise<ControlOutcome>

/** Commands by their names, such as `account.create`. */
export type ControlCommands = Readonly<Record<string, ControlCommand>>

/** Reads the arguments of a request; the first that is wrong or not known is its `problem`. */
export class Arguments {
  readonly #given: Readonly<Record<string, unknown>>
  readonly #read = new Set<string>()
  #problem: ControlOutcome | null = null

  constructor(given: Readonly<Record<string, unknown>>) {
    this.#given = given
  }

  /** As they came, for a command that checks them itself. */
  get raw(): Readonly<Record<string, unknown>> {
    return this.#given
  }

  /** Ask after the last argument has been read. */
  get problem(): ControlOutcome | null {
    if (this.#problem !== null) return this.#problem
    const unknown = Object.keys(this.#given).find(name => !this.#read.has(name))
    return unknown === undefined ? null : invalid(`there is no argument "${unknown.slice(0, 80)}"`)
  }

  /** A text that must be there; '' when it is not. */
  text(name: string): string {
    const value = this.optionalText(name)
    if (value === undefined) this.#fail(`"${name}" is missing`)
    return value ?? ''
  }

  optionalText(name: string): string | undefined {
    const value = this.#take(name)
    if (value === undefined || (typeof value === 'string' && value !== '')) return value
    this.#fail(`"${name}" must be a text that is not empty`)
    return undefined
  }

  /** Where an earlier list ended; '' when not given. */
  cursor(): string {
    const text = this.optionalText('cursor')
    if (text === undefined || (/^\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text))))
      return text ?? ''
    this.#fail('"cursor" is not what an earlier list gave as its cursor')
    return ''
  }

  /** One of these words, or undefined when not given. */
  choice<T extends string>(name: string, words: readonly T[]): T | undefined {
    const value = this.#take(name)
    if (value === undefined || words.includes(value as T)) return value as T | undefined
    this.#fail(`"${name}" must be one of ${words.join(', ')}`)
    return undefined
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.#take(name)
    if (value === undefined || typeof value === 'boolean') return value ?? otherwise
    this.#fail(`"${name}" must be true or false`)
    return otherwise
  }

  whole(name: string, range: readonly [number, number]): number | undefined {
    const value = this.#take(name)
    if (value === undefined) return undefined
    const [least, most] = range
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most)
      return value
    this.#fail(`"${name}" must be a whole number from ${least} to ${most}`)
    return undefined
  }

  #take(name: string): unknown {
    this.#read.add(name)
    // null is a value that was given: as "not said" it would make a filter mean everything.
    return this.#given[name]
  }

  #fail(message: string): void {
    this.#problem ??= invalid(message)
  }
}

function invalid(message: string): ControlOutcome {
  return failed('invalid', message, 'see postrider help for what the command takes')
}
