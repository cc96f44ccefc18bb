// The text of a first postrider.toml: each key with its meaning and default, as comments.

import { configSections, type Section } from '../config/index.ts'

type Key = Section['keys'][string]

const columnsMax = 100

/** The doors of a first run, written out so that they can be changed. */
const listeners: readonly (readonly [address: string, kind: string])[] = [
  ['127.0.0.1:2525', 'relay'],
  ['127.0.0.1:2587', 'submission'],
  ['127.0.0.1:2465', 'submissions'],
]

/**
 * @param hostname written as the value of `hostname` when it is a full name
 * @param dataDir written as the value of `data_dir`; null leaves the default
 */
export function configTemplate(hostname: string, dataDir: string | null = null): string {
  const head = comment(
    'Configuration of Postrider. Lines that begin with # say what is in force anyway. Durations are written 30s, 5m, 2d; sizes 64KiB, 25MiB. Check it with: postrider doctor',
  )
  return `${[head, ...configSections.map(section => sectionText(section, hostname, dataDir))].join('\n')}`
}

function sectionText(section: Section, hostname: string, dataDir: string | null): string {
  const title =
    section.name === '' ? '' : section.form === 'list' ? `[[${section.name}]]` : `[${section.name}]`
  const keys = Object.values(section.keys)
  if (section.name === '') {
    const lines = keys.map(key => {
      if (key.name === 'hostname') return hostnameText(key, hostname)
      if (key.name === 'data_dir' && dataDir !== null)
        return `${comment(key.text)}data_dir = ${JSON.stringify(dataDir)}\n`
      return keyText(key)
    })
    return lines.join('\n')
  }
  const about = comment(section.text)
  // A section with required keys stays a comment as a whole: half of it would be an error.
  if (section.form !== 'one') {
    const doors = section.name === 'listener' ? listeners.map(listenerText).join('\n') : ''
    return `${about}# ${title}\n${keys.map(keyText).join('\n')}\n${doors}`
  }
  return `${about}${title}\n${keys.map(keyText).join('\n')}`
}

function listenerText([address, kind]: readonly [string, string]): string {
  return `[[listener]]\naddress = "${address}"\nkind = "${kind}"\n`
}

function hostnameText(key: Key, hostname: string): string {
  const isFullName = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(hostname)
  return `${comment(key.text)}${isFullName ? '' : '# '}hostname = "${isFullName ? hostname : 'mail.example.com'}"\n`
}

function keyText(key: Key): string {
  const { name, text, fallback, whenMissing } = key
  if (fallback !== undefined) return `${comment(text)}# ${name} = ${JSON.stringify(fallback)}\n`
  const missing = whenMissing === undefined ? '' : ` Without it: ${whenMissing}.`
  return `${comment(text + missing)}# ${name} =\n`
}

/** Words in lines that begin with `#`. */
function comment(text: string): string {
  const lines: string[] = []
  let line = '#'
  for (const word of text.split(/\s+/)) {
    if (line.length + 1 + word.length > columnsMax && line !== '#') {
      lines.push(line)
      line = '#'
    }
    line += ` ${word}`
  }
  return `${[...lines, line].join('\n')}\n`
}
