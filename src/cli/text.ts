// Text for terminals: what comes from outside is made harmless, columns are measured, colours are optional.

import { styleText } from 'node:util'

/** What a text means; the colour follows from it. */
export type Tone = 'good' | 'bad' | 'careful' | 'strong' | 'quiet' | 'plain'

const formats = {
  good: 'green',
  bad: 'red',
  careful: 'yellow',
  strong: 'bold',
  quiet: 'dim',
} as const

/** Puts a tone on a text; the identity when colours are off. */
export type Paint = (tone: Tone, text: string) => string

/** @param hasColours the output is a terminal and NO_COLOR is not set */
export function painter(hasColours: boolean): Paint {
  return (tone, text) =>
    !hasColours || tone === 'plain' ? text : styleText(formats[tone], text, { validateStream: false })
}

/** Controls, and what changes the direction or the visibility of other characters. */
const unsafe = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** Makes a text from outside fit for a terminal: controls become `\x1b` or `\u202e`. */
export function plain(text: string): string {
  return text.replace(unsafe, character => {
    const code = character.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })
}

const wide =
  /^[\u1100-\u115f\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const narrowest = /^[\p{Mark}\p{Format}]/u

/** Columns that a text takes: two for East Asian wide characters and pictures, none for combining marks. */
export function displayWidth(text: string): number {
  let width = 0
  for (const character of text) width += wide.test(character) ? 2 : narrowest.test(character) ? 0 : 1
  return width
}

/** `12 s`, `5 min`, `3 h`, `2 d`: the two biggest units are too much for a table. */
export function roughDuration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}

/** `1 recipient`, `2 recipients`. */
export function counted(count: number, one: string, many: string = `${one}s`): string {
  return `${count.toLocaleString('en-GB')} ${count === 1 ? one : many}`
}
