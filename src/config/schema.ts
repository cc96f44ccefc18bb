// The one schema of postrider.toml, put together from the tables in keys/, and the same tables as data for the docs.
//
// Place on the path: off it. Unknown keys are errors everywhere. The schema takes the TOML names and gives the
// property names of types.ts; a section that is left out takes all its defaults, except those that are all or nothing.

import { z } from 'zod'
import type { Key, Keys } from './key.ts'
import { deliveryKeys } from './keys/delivery.ts'
import {
  dkimKeys,
  dnsKeys,
  generalKeys,
  httpKeys,
  labKeys,
  logKeys,
  retentionKeys,
  retryKeys,
  storeKeys,
  tlsKeys,
} from './keys/general.ts'
import { limitKeys } from './keys/limits.ts'
import { listenerKeys, routeKeys } from './keys/listener.ts'
import type { Config } from './types.ts'

/** A section of the file. */
export interface Section {
  /** TOML name; '' for the keys at the top. */
  readonly name: string
  /** Property in {@link Config}; '' for the keys at the top. */
  readonly property: string
  /** `one`: `[name]`; `list`: `[[name]]`; `whole`: `[name]`, null when left out. */
  readonly form: 'one' | 'list' | 'whole'
  readonly text: string
  readonly keys: Readonly<Record<string, Key<unknown>>>
}

/** Every section in the order of the reference page. */
export const configSections: readonly Section[] = [
  section('', '', 'one', 'Keys at the top of the file, before any section.', generalKeys),
  section(
    'listener',
    'listeners',
    'list',
    'A door that mail comes in by. Without one: relay on 127.0.0.1:2525, submission on 127.0.0.1:2587 and submissions on 127.0.0.1:2465.',
    listenerKeys,
  ),
  section(
    'route',
    'routes',
    'list',
    'A way for the mail of some recipient domains. Mail without a route goes to the MX hosts of its domain.',
    routeKeys,
  ),
  section(
    'tls',
    'tls',
    'whole',
    'The certificate of the listeners. Without this section Postrider makes a self-signed one in the data directory, with a warning.',
    tlsKeys,
  ),
  section('http', 'http', 'one', 'The HTTP door.', httpKeys),
  section('store', 'store', 'one', 'Where things are kept.', storeKeys),
  section('dns', 'dns', 'one', 'Whom to ask for MX hosts and addresses.', dnsKeys),
  section('delivery', 'delivery', 'one', 'How mail leaves.', deliveryKeys),
  section('retry', 'retry', 'one', 'When a deferred recipient is tried again.', retryKeys),
  section('retention', 'retention', 'one', 'How long things are kept.', retentionKeys),
  section('lab', 'lab', 'one', 'A small internet on loopback, to try things out.', labKeys),
  section('limits', 'limits', 'one', 'Every bound, with the reason for its default.', limitKeys),
  section(
    'dkim',
    'dkim',
    'whole',
    'A second signature by the operator’s own domain. Without this section there is none.',
    dkimKeys,
  ),
  section('log', 'log', 'one', 'The log, which goes to standard output as one JSON object a line.', logKeys),
]

/** Checks a parsed file (defaults filled in before) and gives the configuration. */
export const configSchema: z.ZodType<Config> = rootSchema()

/** The key at a path of TOML names such as `listener`, `0`, `address`. */
export function keyAt(path: readonly (string | number)[]): Key<unknown> | undefined {
  const name = path.at(-1)
  const sectionName = path.length > 1 ? path[0] : ''
  const found = configSections.find(one => one.name === sectionName)
  return found && Object.values(found.keys).find(key => key.name === name)
}

/** The names that may stand at a path of TOML names. */
export function namesAt(path: readonly (string | number)[]): string[] {
  const found = configSections.find(one => one.name === (path[0] ?? ''))
  if (found === undefined) return []
  const names = Object.values(found.keys).flatMap(key =>
    key.isSecret ? [key.name, `${key.name}_file`] : [key.name],
  )
  return path.length === 0 ? [...names, ...configSections.slice(1).map(one => one.name)] : names
}

function section<T>(
  name: string,
  property: string,
  form: Section['form'],
  text: string,
  keys: Keys<T>,
): Section {
  return { name, property, form, text, keys: keys as Readonly<Record<string, Key<unknown>>> }
}

function rootSchema(): z.ZodType<Config> {
  const [top, ...sections] = configSections
  const shape: Record<string, z.ZodType> = { ...keyShape(top!.keys) }
  for (const one of sections) {
    const object = sectionSchema(one)
    if (one.form === 'one') shape[one.name] = object.prefault({})
    else if (one.form === 'whole') shape[one.name] = object.optional()
    else shape[one.name] = z.array(object, { error: `must be written as [[${one.name}]]` }).prefault([])
  }
  const schema = strict(shape).transform(values => {
    const config: Record<string, unknown> = renamed(top!.keys, values)
    for (const one of sections) config[one.property] = values[one.name] ?? null
    return config
  })
  return schema as unknown as z.ZodType<Config>
}

function sectionSchema(one: Section): z.ZodType {
  return strict(keyShape(one.keys), one.form === 'list' ? `[[${one.name}]]` : `[${one.name}]`).transform(
    values => renamed(one.keys, values),
  )
}

function strict(shape: Record<string, z.ZodType>, written?: string): z.ZodObject<Record<string, z.ZodType>> {
  return z.strictObject(shape, {
    error: issue =>
      issue.code === 'invalid_type' && written !== undefined
        ? `must be a section, written as ${written}`
        : undefined,
  })
}

function keyShape(keys: Section['keys']): Record<string, z.ZodType> {
  const shape: Record<string, z.ZodType> = {}
  for (const key of Object.values(keys)) {
    if (key.fallback !== undefined) shape[key.name] = key.schema.prefault(key.fallback as never)
    else shape[key.name] = key.isOptional ? key.schema.optional() : key.schema
  }
  return shape
}

function renamed(keys: Section['keys'], values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(keys).map(([property, key]) => [property, values[key.name] ?? null]),
  )
}
