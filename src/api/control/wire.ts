// The language of the control socket: one JSON object a line, in both directions.
//
// Requests `{"id":1,"command":"account.create","arguments":{…}}`; answers `{"id":1,"item":…}` any number of times, then
// one `{"id":1,"result":…}` or `{"id":1,"error":{"code","message","hint"}}`. Invariants: a line has a bounded size; what
// is not such a line is a value, never a throw.

/** Longest line in either direction. */
export const lineSizeBytesMax: number = 16 * 1024 * 1024

/** What went wrong, for people and programs. */
export interface ControlError {
  /** Stable word. */
  readonly code: string
  readonly message: string
  /** What to do next. */
  readonly hint: string
}

/** How a command ended. */
export type ControlOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: ControlError }

export interface ControlRequest {
  readonly id: number
  readonly command: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** One line from the server. */
export type ControlAnswer =
  | { readonly id: number; readonly item: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: ControlError }

/** A good end. */
export function done(value: unknown): ControlOutcome {
  return { ok: true, value }
}

/** A bad end. */
export function failed(code: string, message: string, hint: string): ControlOutcome & { readonly ok: false } {
  return { ok: false, error: { code, message, hint } }
}

/** The client has closed its side, or the server ends: what is broken off is no success, whatever was done of it. */
export function cancelled(): ControlOutcome & { readonly ok: false } {
  return failed('cancelled', 'the client has gone', 'keep your side open until the result has come')
}

/** Any JSON value as one line. */
export function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

/** A request, or why the line is none. */
export function parseRequest(text: string): ControlRequest | ControlError {
  const value = parseJson(text)
  if (!isRecord(value)) return malformed('a request is one JSON object on one line')
  const { id, command, arguments: given = {} } = value
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) return malformed('"id" must be a whole number')
  if (typeof command !== 'string') return malformed('"command" must be a string')
  if (!isRecord(given)) return malformed('"arguments" must be an object')
  return { id, command, arguments: given }
}

/** An answer, or null when the line is none. */
export function parseAnswer(text: string): ControlAnswer | null {
  const value = parseJson(text)
  if (!isRecord(value)) return null
  const { id, item, result, error } = value
  if (typeof id !== 'number') return null
  if (item !== undefined) return { id, item }
  if (result !== undefined) return { id, result }
  if (!isRecord(error)) return null
  const { code, message, hint } = error
  return { id, error: { code: String(code), message: String(message), hint: String(hint ?? '') } }
}

/** Cuts a byte stream into lines. */
export class LineReader {
  #parts: Buffer[] = []
  #sizeBytes = 0
  readonly #sizeBytesMax: number

  constructor(sizeBytesMax: number = lineSizeBytesMax) {
    this.#sizeBytesMax = sizeBytesMax
  }

  /** The whole lines that a chunk completes, without their ends; null when a line is longer than allowed. */
  take(chunk: Buffer): string[] | null {
    const lines: string[] = []
    let start = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      if (!this.#keep(chunk.subarray(start, at))) return null
      lines.push(Buffer.concat(this.#parts).toString('utf8'))
      this.#parts = []
      this.#sizeBytes = 0
      start = at + 1
    }
    if (start < chunk.length && !this.#keep(Buffer.from(chunk.subarray(start)))) return null
    return lines
  }

  #keep(part: Buffer): boolean {
    this.#sizeBytes += part.length
    if (this.#sizeBytes > this.#sizeBytesMax) return false
    this.#parts.push(part)
    return true
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(message: string): ControlError {
  return { code: 'malformed', message, hint: 'send {"id":1,"command":"…","arguments":{…}} and a line end' }
}
