// Environment variables over the file: POSTRIDER_ + the key in capitals, `__` between section and key.
//
//   POSTRIDER_DATA_DIR=/var/lib/postrider          data_dir
//   POSTRIDER_HTTP__ADDRESS=0.0.0.0:2580           [http] address
//   POSTRIDER_DNS__SERVERS=10.0.0.53,10.0.1.53     [dns] servers (a TOML list works too)
//   POSTRIDER_LISTENER__0__ADDRESS=0.0.0.0:25      the first [[listener]]
//   POSTRIDER_STORE__URL_FILE=/run/secrets/store   [store] url, read from a file
//
// Place on the path: off it. Invariants: the environment wins over the file; a variable that names no key is a
// warning and not an error, since Kubernetes sets POSTRIDER_PORT and the like for a service called postrider.

import { resolve } from 'node:path'
import { parse as parseToml } from 'smol-toml'
import type { Key } from './key.ts'
import { nearestName, type Problem } from './problem.ts'
import { configSections, keyAt } from './schema.ts'

/** A TOML table as plain data. */
export type Table = Record<string, unknown>

/** What a variable set; `path` in TOML names. */
export interface EnvironmentResult {
  readonly warnings: readonly Problem[]
  readonly problems: readonly Problem[]
  /** Variable by joined path, to name it in problems found later. */
  readonly variables: ReadonlyMap<string, string>
}

const prefix = 'POSTRIDER_'
/** Made by Kubernetes for a service of our name; not meant as configuration. */
const kubernetesPattern = /^POSTRIDER_(SERVICE_|PORT$|PORT_\d)/

/** Puts the values of environment variables into `table` (changes it). Relative paths start at `cwd`. */
export function applyEnvironment(
  table: Table,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): EnvironmentResult {
  const warnings: Problem[] = []
  const problems: Problem[] = []
  const variables = new Map<string, string>()
  for (const name of Object.keys(env).sort()) {
    const text = env[name]
    if (text === undefined || !name.startsWith(prefix) || kubernetesPattern.test(name)) continue
    const path = pathOf(name)
    const target = path === undefined ? undefined : targetOf(path)
    if (path === undefined || target === undefined) {
      const near = nearestName(name.slice(prefix.length).toLowerCase(), variableNames())
      const hint =
        near === undefined
          ? 'see the page about configuration'
          : `did you mean ${prefix}${near.toUpperCase()}?`
      warnings.push({
        where: name,
        what: 'this environment variable names no configuration key and is ignored',
        hint,
      })
      continue
    }
    const value = readValue(target.key, target.isFile, text, cwd)
    const why = setAt(table, path, value)
    if (why === undefined) variables.set(path.join('.'), name)
    else problems.push({ where: name, what: why, hint: 'number them from 0 without a gap' })
  }
  return { warnings, problems, variables }
}

/** `POSTRIDER_LISTENER__0__ADDRESS` → `['listener', 0, 'address']`. */
function pathOf(name: string): (string | number)[] | undefined {
  const parts = name.slice(prefix.length).toLowerCase().split('__')
  if (parts.some(part => part === '')) return undefined
  return parts.map(part => (/^\d{1,3}$/.test(part) ? Number(part) : part))
}

function targetOf(path: readonly (string | number)[]): { key: Key<unknown>; isFile: boolean } | undefined {
  const section = configSections.find(one => one.name === (path.length > 1 ? path[0] : ''))
  if (section === undefined) return undefined
  const length = section.name === '' ? 1 : section.form === 'list' ? 3 : 2
  if (path.length !== length || (length === 3 && typeof path[1] !== 'number')) return undefined
  const key = keyAt(path)
  if (key !== undefined) return { key, isFile: false }
  const name = String(path.at(-1))
  const plain = name.endsWith('_file') ? keyAt([...path.slice(0, -1), name.slice(0, -5)]) : undefined
  return plain?.isSecret ? { key: plain, isFile: true } : undefined
}

/** The value as TOML would hold it; what cannot be read stays text, and the schema then says what it must be. */
function readValue(key: Key<unknown>, isFile: boolean, text: string, cwd: string): unknown {
  if (isFile || key.form === 'path') return text === '' ? text : resolve(cwd, text)
  if (key.form === 'text') return text
  if (key.form !== 'list') {
    if (text === 'true' || text === 'false') return text === 'true'
    // Not by JSON, which throws at a zero in front.
    if (/^-?\d+$/.test(text)) return Number(text)
  }
  if (key.form === 'list' || key.form === 'flag or list') return readList(text)
  return text
}

function readList(text: string): unknown {
  if (!text.trimStart().startsWith('['))
    return text
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== '')
  try {
    return (parseToml(`list = ${text}`) as { list?: unknown }).list
  } catch {
    return text
  }
}

/** Sets a value; the answer says why it could not. */
function setAt(table: Table, path: readonly (string | number)[], value: unknown): string | undefined {
  const first = String(path[0])
  const second = path[1]
  if (second === undefined) {
    table[first] = value
    return undefined
  }
  if (typeof second === 'string') {
    table[first] ??= {}
    const section = table[first]
    if (!isTable(section)) return `${first} is not a section in the file`
    section[second] = value
    return undefined
  }
  table[first] ??= []
  const list = table[first]
  if (!Array.isArray(list)) return `${first} is not a list of sections in the file`
  if (second > list.length) return `there is no [[${first}]] with the number ${second - 1} before it`
  if (second === list.length) list.push({})
  const section: unknown = list[second]
  if (!isTable(section)) return `${first} ${second} is not a section in the file`
  section[String(path[2])] = value
  return undefined
}

/** True for a TOML table. */
export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

function variableNames(): string[] {
  return configSections.flatMap(one =>
    Object.values(one.keys).map(key =>
      one.name === ''
        ? key.name
        : one.form === 'list'
          ? `${one.name}__0__${key.name}`
          : `${one.name}__${key.name}`,
    ),
  )
}
