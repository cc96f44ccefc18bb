// Loads the configuration: file, environment, defaults, checks; the answer is a value with everything that is wrong.
//
// Plan:
//  1. find the file: --config, ./postrider.toml, /etc/postrider/postrider.toml; none is the first run
//  2. parse TOML; make relative paths absolute (from the file's folder)
//  3. put environment variables over it; read `…_file` secrets
//  4. fill in the defaults that depend on the machine or on there being a file (hostname, listeners, lab)
//  5. check it by the schema, then across keys
// Nothing is written anywhere; a configuration is used only when there is no problem at all.

import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse as parseToml, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { isHostName } from '../base/index.ts'
import { checkConfig } from './checks.ts'
import { applyEnvironment, isTable, type Table } from './environment.ts'
import { controlFault } from './key.ts'
import { locateKey } from './locate.ts'
import { nearestName, type Problem } from './problem.ts'
import { configSchema, configSections, namesAt } from './schema.ts'
import type { Config } from './types.ts'

/** What loading needs from outside. */
export interface LoadRequest {
  /** The value of --config; undefined searches. */
  readonly path?: string | undefined
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The machine's name, for `hostname`. */
  readonly machineName: string
  /** Where to search after `./postrider.toml`; /etc/postrider/postrider.toml by default. */
  readonly systemPath?: string
}

/** `path` is null on a first run without a file. */
export type LoadResult =
  | {
      readonly ok: true
      readonly config: Config
      readonly path: string | null
      readonly warnings: readonly Problem[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** The file itself is the problem. A class, since a TOML table may hold any names. */
class FileFault {
  readonly problem: Problem

  constructor(where: string, what: string, hint: string) {
    this.problem = { where, what, hint }
  }
}

/** A file as found: its path and text, or nothing. */
type Found = { readonly path: string; readonly text: string } | null

/** Loads, checks and completes the configuration. Reads files synchronously: at start and at SIGHUP only. */
export function loadConfig(request: LoadRequest): LoadResult {
  const found = findFile(request)
  if (found instanceof FileFault) return { ok: false, problems: [found.problem] }
  const table = found === null ? {} : parseFile(found)
  if (table instanceof FileFault) return { ok: false, problems: [table.problem] }
  const folder = found === null ? request.cwd : dirname(found.path)
  anchorPaths(table, folder)
  const environment = applyEnvironment(table, request.env, request.cwd)
  const problems: Problem[] = [...environment.problems, ...readSecrets(table)]
  fillDefaults(table, request, folder, found === null)
  const where = (path: readonly (string | number)[]) => describePlace(path, found, environment.variables)
  const checked = configSchema.safeParse(table)
  if (!checked.success)
    problems.push(...checked.error.issues.flatMap(issue => issueProblems(issue, table, where)))
  // Checks across keys would complain of what is missing because it could not be read.
  else if (problems.length === 0)
    problems.push(
      ...checkConfig(checked.data).map(({ path, what, hint }) => ({ where: where(path), what, hint })),
    )
  if (!checked.success || problems.length > 0) return { ok: false, problems }
  return { ok: true, config: checked.data, path: found?.path ?? null, warnings: environment.warnings }
}

function findFile(request: LoadRequest): Found | FileFault {
  const { cwd, path } = request
  const candidates =
    path === undefined
      ? [join(cwd, 'postrider.toml'), request.systemPath ?? '/etc/postrider/postrider.toml']
      : [resolve(cwd, path)]
  for (const candidate of candidates) {
    try {
      return { path: candidate, text: readFileSync(candidate, 'utf8') }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (path === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) continue
      return code === 'ENOENT'
        ? new FileFault(
            candidate,
            'this configuration file does not exist',
            'check --config, or leave it out for a first run',
          )
        : new FileFault(
            candidate,
            `the configuration file cannot be read (${code ?? 'unknown error'})`,
            'check its owner and mode',
          )
    }
  }
  return null
}

function parseFile(found: { readonly path: string; readonly text: string }): Table | FileFault {
  try {
    return parseToml(found.text) as Table
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const first = error.message.split('\n')[0]!.replace('Invalid TOML document: ', '')
    return new FileFault(
      `${found.path}:${error.line}`,
      `this is not valid TOML: ${first}`,
      'see https://toml.io for the syntax',
    )
  }
}

/** Makes the relative paths of the file absolute; other types are left for the schema to refuse. */
function anchorPaths(table: Table, folder: string): void {
  for (const section of configSections) {
    const places = section.name === '' ? [table] : [table[section.name]].flat()
    const names = Object.values(section.keys).flatMap(key =>
      key.form === 'path' ? [key.name] : key.isSecret ? [`${key.name}_file`] : [],
    )
    for (const place of places.filter(isTable))
      for (const name of names) {
        const value = place[name]
        if (typeof value === 'string' && value !== '') place[name] = resolve(folder, value)
      }
  }
}

/** Replaces `<name>_file` of secret keys by `<name>` with the file's content. */
function readSecrets(table: Table): Problem[] {
  return configSections.flatMap(({ name: section, keys }) => {
    const secrets = Object.values(keys).filter(key => key.isSecret)
    const places = section === '' ? [table] : [table[section]].flat()
    const written = section === '' ? '' : Array.isArray(table[section]) ? `[[${section}]] ` : `[${section}] `
    return places
      .filter(isTable)
      .flatMap(place => secrets.flatMap(({ name }) => readSecret(place, name, written)))
  })
}

/** @param written the section before the name, for the problem. */
function readSecret(place: Table, name: string, written: string): Problem[] {
  const fileName = `${name}_file`
  const path = place[fileName]
  if (path === undefined) return []
  delete place[fileName]
  const label = `${written}${fileName}`
  if (place[name] !== undefined)
    return [problem(label, `both ${name} and ${fileName} are given`, 'keep one of them')]
  if (typeof path !== 'string') return [problem(label, 'must be the path of a file in quotes', '')]
  const fault = controlFault(path)
  if (fault !== undefined) return [problem(label, fault, '')]
  try {
    place[name] = readFileSync(path, 'utf8').trim()
    return []
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const what = `${path} cannot be read (${code ?? 'unknown error'})`
    return [problem(label, what, 'check the path and its mode')]
  }
}

function fillDefaults(table: Table, request: LoadRequest, folder: string, isFirstRun: boolean): void {
  const name = request.machineName.toLowerCase()
  const defaults: Table = {
    hostname: isHostName(name) ? name : 'localhost',
    data_dir: resolve(folder, 'data'),
    listener: [
      { address: '127.0.0.1:2525', kind: 'relay' },
      { address: '127.0.0.1:2587', kind: 'submission' },
      { address: '127.0.0.1:2465', kind: 'submissions' },
    ],
    lab: {},
  }
  for (const [key, value] of Object.entries(defaults)) table[key] ??= value
  const { lab } = table
  if (isFirstRun && isTable(lab)) Object.assign(table, { lab: { enabled: true, ...lab } })
}

/** One zod issue as problems in our words. */
function issueProblems(
  issue: z.core.$ZodIssue,
  table: Table,
  where: (path: readonly (string | number)[]) => string,
): Problem[] {
  const path = issue.path as (string | number)[]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(name => {
      const near = nearestName(name, namesAt(path))
      const section = path.length === 0 ? '' : ` in [${path[0]}]`
      const hint =
        near === undefined ? `known${section}: ${namesAt(path).join(', ')}` : `did you mean "${near}"?`
      return problem(where([...path, name]), `unknown key "${name}"${section}`, hint)
    })
  const isMissing = valueAt(table, path) === undefined
  if (isMissing) return [problem(where(path), `"${path.at(-1)}" is missing`, 'it has no default')]
  return [problem(where(path), issue.message, '')]
}

function valueAt(table: unknown, path: readonly (string | number)[]): unknown {
  let value = table
  for (const part of path) value = (value as Record<string | number, unknown> | undefined)?.[part]
  return value
}

function describePlace(
  path: readonly (string | number)[],
  found: Found,
  variables: ReadonlyMap<string, string>,
): string {
  // A list item belongs to the variable of its list.
  const variable = variables.get(path.join('.')) ?? variables.get(path.slice(0, -1).join('.'))
  if (variable !== undefined) return `environment variable ${variable}`
  const name = path
    .map(part => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .slice(1)
  if (found === null) return name
  const line = locateKey(found.text, path)
  return line === undefined ? `${found.path} ${name}` : `${found.path}:${line} ${name}`
}

function problem(where: string, what: string, hint: string): Problem {
  return { where, what, hint }
}
