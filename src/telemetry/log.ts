// The log: one JSON object a line, through pino, with secrets taken out.
//
// Place on the path: beside it. Each thread has its own log on the same file descriptor. Invariants: only names of the
// vocabulary are written; no transport, no thread of its own; secrets are hidden by field name, and once more by what
// they look like in the finished line, wherever they came from.

import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino'
import { type LogEventName, type LogLevel, logEvents } from './log-events.ts'

/** Further fields of a line: plain values, no secrets. */
export type LogFields = Readonly<Record<string, unknown>>

/** What rooms get: they can write events of the vocabulary and nothing else. */
export interface Log {
  /** Writes an event at its level. `error` fields named `err` are written with their stack. */
  event(name: LogEventName, fields?: LogFields): void
  /** False when the event would not be written: ask before building costly fields. */
  writes(name: LogEventName): boolean
  /** The same log with fields that every line carries. */
  with(fields: LogFields): Log
}

export interface LogOptions {
  readonly level: LogLevel
  /** Where lines go; standard output by default at the composition root. */
  readonly output: DestinationStream
  /** For instance the name of the thread. */
  readonly fields?: LogFields
}

/** Field names whose values are never written, at the top and one level down. */
export const secretFieldNames: readonly string[] = [
  'password',
  'secret',
  'authorization',
  'privateKey',
  'privateKeyPem',
  'keyPem',
  'token',
  'cookie',
]

const hidden = '[hidden]'

/** Makes the log of a thread. */
export function createLog(options: LogOptions): Log {
  const logger = pino(
    {
      level: options.level,
      base: options.fields ?? {},
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'text',
      formatters: { level: label => ({ level: label }) },
      redact: { paths: secretFieldNames.flatMap(name => [name, `*.${name}`]), censor: hidden },
      hooks: { streamWrite: hideSecrets },
    },
    options.output,
  )
  return new PinoLog(logger)
}

/** Log lines that wait for an output that takes none; more are dropped. */
const waitingBytesMax = 1024 * 1024

/** How long an end waits for the log. */
const flushMsMax = 500

/** Where lines go, and an end can wait for them. */
export interface LogOutput extends DestinationStream {
  /** Until what was written is out, or refused, or half a second is over: nothing ends later for its log. */
  flushed(): Promise<void>
}

/**
 * Standard output without blocking; lines that arrive while a write is under way go out together. An output that
 * refuses (a file on a full disk, a closed pipe) loses lines and nothing else: what waits is tried again with the next.
 */
export function standardOutput(): LogOutput {
  let isWaiting = false
  let isGivenUp = false
  // A pipe whose reader stands still is tried again and again, which holds the process.
  const retryEAGAIN = () => !isGivenUp
  const output = destination({ dest: 1, sync: false, maxLength: waitingBytesMax, retryEAGAIN })
  output.on('error', () => {})
  output.on('drain', () => {
    isWaiting = false
  })
  // A line that finds no room starts no write of what waits: without this a log that was full once would stay silent.
  output.on('drop', () => output.write(''))
  // pino calls it when the process exits: on a full disk it would try for ever, and the process would never be gone.
  output.flushSync = () => {}
  return {
    write(line) {
      isWaiting = true
      output.write(line)
    },
    async flushed() {
      if (!isWaiting) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, flushMsMax)
      output.once('drain', resolve)
      output.once('error', resolve)
      // What was refused is tried once more; a write that is under way goes on.
      output.write('')
      await promise
      clearTimeout(timer)
      isGivenUp = true
    },
  }
}

/** From a BEGIN to the next END, unless another BEGIN stands between: so that no stretch is looked at twice. */
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----BEGIN ).)*?-----END [A-Z ]*PRIVATE KEY-----/g

/** Takes out of a finished line what looks like a secret: our own, SASL responses, Authorization values. */
export function hideSecrets(line: string): string {
  return line
    .replace(/\bpr_[a-z2-7]{52}\b/g, hidden)
    .replace(/\b(AUTH\s+(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|CRAM-MD5)\s+)[A-Za-z0-9+/=]+/gi, `$1${hidden}`)
    .replace(/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${hidden}`)
    .replace(privateKey, hidden)
}

class PinoLog implements Log {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  event(name: LogEventName, fields?: LogFields): void {
    this.#logger[logEvents[name].level](fields === undefined ? { event: name } : { event: name, ...fields })
  }

  writes(name: LogEventName): boolean {
    return this.#logger.isLevelEnabled(logEvents[name].level)
  }

  with(fields: LogFields): Log {
    return new PinoLog(this.#logger.child(fields))
  }
}
