// One configuration key: its TOML name, its check, its default, and what the reference page says about it.
//
// Place on the path: off it. The tables in keys/ are typed by the interfaces in types.ts, so that a value without a
// documented key, or a key without a text, does not compile. Defaults are written as in TOML and pass the same check
// as a user's value.

import { z } from 'zod'
import {
  isHostName,
  type Parsed,
  parseSmarthost,
  type SmarthostAddress,
  type SocketAddress,
} from '../base/index.ts'
import { parseNetwork, parseSocketAddress } from './address.ts'
import { formatDuration, parseDuration, parseSize } from './quantity.ts'

/** How a key is written in TOML; decides how an environment variable of it is read. */
export type KeyForm = 'text' | 'path' | 'integer' | 'boolean' | 'list' | 'flag or list'

/** What TOML can hold here. */
export type TomlValue = string | number | boolean | readonly string[]

/** What every key must say of itself. */
export interface KeyText {
  /** Name in TOML. */
  readonly name: string
  /** For the reference page: one or more full sentences. */
  readonly text: string
  /** As in TOML. Missing: the key may be left out and then means what `whenMissing` says, or it is required. */
  readonly fallback?: TomlValue
  /** For the reference page, where there is no fixed default. */
  readonly whenMissing?: string
  /** `milliseconds` are written as durations, `bytes` as sizes; otherwise what is counted. */
  readonly unit?: string
  /** Why the default is what it is. Limits must have one. */
  readonly reason?: string
  /** The first version that knows the key. */
  readonly since: string
}

export interface Key<T> extends KeyText {
  readonly form: KeyForm
  readonly schema: z.ZodType<T>
  /** The value may be given as `<name>_file`, whose content is read. */
  readonly isSecret?: boolean
  /** Left out, it is null. */
  readonly isOptional?: boolean
}

/** One documented key for each value. */
export type Keys<T> = { readonly [K in keyof T]: Key<T[K]> }

/** What would end a line, or a text, where a value is written into a command, a header field or a path. */
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** What is wrong with a text that is not one plain line. Without the text: it may be a secret. */
export function controlFault(text: string): string | undefined {
  const found = control.exec(text)?.[0].charCodeAt(0)
  if (found === undefined) return undefined
  const code = `U+${found.toString(16).toUpperCase().padStart(4, '0')}`
  const name = controlNames[found]
  return `must be one line without control characters, and has ${name === undefined ? code : `${name} (${code})`}`
}

const controlNames: Readonly<Record<number, string>> = { 0: 'NUL', 10: 'LF', 13: 'CR' }

/** A schema from one of our parsers, which answer with a value or a sentence. */
function parsedText<T>(parse: (text: string) => Parsed<T>): z.ZodType<T> {
  return z.string({ error: 'must be text in quotes' }).transform((text, context) => {
    const fault = controlFault(text)
    const parsed = fault === undefined ? parse(text) : ({ ok: false, why: fault } as const)
    if (parsed.ok) return parsed.value
    context.addIssue({ code: 'custom', message: parsed.why })
    return z.NEVER
  })
}

/** A hundred years: a longer time is a mistake, and times far behind it are no dates any more. */
const durationMsMax = 36_500 * 86_400_000

/** For what is handed to a timer: it takes 2^31-1 milliseconds (24.8 days), and fires at once when it is given more. */
export const timerMsMax: number = 24 * 86_400_000

/** A duration such as `30s`, as milliseconds. */
export function durationKey(text: KeyText, minMs: number = 0, maxMs: number = durationMsMax): Key<number> {
  const schema = boundedDuration(maxMs).refine(ms => ms >= minMs, { error: `must be at least ${minMs}ms` })
  return { unit: 'milliseconds', ...text, form: 'text', schema }
}

function boundedDuration(maxMs: number): z.ZodType<number> {
  return parsedText(parseDuration).refine(ms => ms <= maxMs, {
    error: `must be at most ${formatDuration(maxMs)}`,
  })
}

/** A list of durations; at least one. */
export function durationsKey(text: KeyText): Key<readonly number[]> {
  const schema = z
    .array(
      boundedDuration(durationMsMax).refine(ms => ms > 0, { error: 'must be longer than 0s' }),
      { error: 'must be a list such as ["1m", "5m"]' },
    )
    .min(1, { error: 'must name at least one interval' })
  return { unit: 'milliseconds', ...text, form: 'list', schema }
}

/** A size such as `25MiB`, as bytes. */
export function sizeKey(text: KeyText, minBytes: number = 1): Key<number> {
  const schema = parsedText(parseSize).refine(bytes => bytes >= minBytes, {
    error: `must be at least ${minBytes}B`,
  })
  return { unit: 'bytes', ...text, form: 'text', schema }
}

/** A whole number within bounds. */
export function countKey(text: KeyText, min: number = 1, max: number = 1_000_000_000): Key<number> {
  const error = `must be a whole number from ${min} to ${max}`
  return { ...text, form: 'integer', schema: z.int({ error }).min(min, { error }).max(max, { error }) }
}

export function flagKey(text: KeyText): Key<boolean> {
  return { ...text, form: 'boolean', schema: z.boolean({ error: 'must be true or false' }) }
}

/** One of a closed set of words. */
export function choiceKey<const T extends string>(options: readonly T[], text: KeyText): Key<T> {
  const error = `must be one of ${options.map(option => `"${option}"`).join(', ')}`
  return { ...text, form: 'text', schema: z.enum(options as readonly [T, ...T[]], { error }) as z.ZodType<T> }
}

/** Text that is not empty, in one line. */
export function textKey(text: KeyText): Key<string> {
  const error = 'must be text in quotes, and not empty'
  const schema = z
    .string({ error })
    .min(1, { error })
    .refine(value => !control.test(value), { error: issue => controlFault(String(issue.input)) })
  return { ...text, form: 'text', schema }
}

/** A path of a file or folder; relative ones start at the folder of the configuration file. */
export function pathKey(text: KeyText): Key<string> {
  return { ...textKey(text), form: 'path' }
}

/** A host or domain name in lower-case A-label form. */
export function nameKey(text: KeyText): Key<string> {
  const schema = parsedText<string>(name =>
    isHostName(name)
      ? { ok: true, value: name.toLowerCase() }
      : {
          ok: false,
          why: `${JSON.stringify(name.slice(0, 80))} is not a host or domain name (write non-ASCII names as xn--…)`,
        },
  )
  return { ...text, form: 'text', schema }
}

/** Text read by a parser of ours. */
export function parsedKey<T>(parse: (text: string) => Parsed<T>, text: KeyText): Key<T> {
  return { ...text, form: 'text', schema: parsedText(parse) }
}

/** Where to listen: `127.0.0.1:2525`. */
export function socketKey(text: KeyText): Key<SocketAddress> {
  return parsedKey(parseSocketAddress, text)
}

/** Who takes our mail: `mail.example.com:587`, `smtps://mail.example.com:465`. */
export function smarthostKey(text: KeyText): Key<SmarthostAddress> {
  return parsedKey(parseSmarthost, text)
}

/** A list whose items are read by a parser of ours; one item may stand without brackets. */
export function listKey<T>(parse: (text: string) => Parsed<T>, text: KeyText): Key<readonly T[]> {
  const schema = z.preprocess(
    value => (typeof value === 'string' ? [value] : value),
    z.array(parsedText(parse), { error: 'must be a list of texts such as ["…", "…"]' }),
  )
  return { ...text, form: 'list', schema }
}

/** Networks such as `10.0.0.0/8`. */
export function networksKey(text: KeyText): Key<readonly string[]> {
  return listKey(parseNetwork, text)
}

/** The same key, null when left out. */
export function optionalKey<T>(key: Key<T>): Key<T | null> {
  return { ...key, schema: key.schema as z.ZodType<T | null>, isOptional: true }
}
