// Corpora as text files that can be read and reviewed: one input a line, everything but printable ASCII as `\xNN`.
//
// Kept in the repository: `corpora/TARGET.txt`. Lines that begin with `#` and empty ones say something to people. An
// empty input is written as `\`.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'corpora')

/** The file of a target's corpus. */
export function corpusPath(target: string): string {
  return join(folder, `${target}.txt`)
}

/** Inputs kept for a target; none when it has no corpus yet. */
export function readCorpus(target: string): Buffer[] {
  const path = corpusPath(target)
  if (!existsSync(path)) return []
  return readFileSync(path, 'latin1')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(decodeInput)
}

/** Writes the corpus anew; what people wrote at its head stays. */
export function writeCorpus(target: string, inputs: readonly Buffer[]): void {
  const path = corpusPath(target)
  const head = existsSync(path) ? /^(?:#.*\n)*/.exec(readFileSync(path, 'latin1'))![0] : ''
  mkdirSync(folder, { recursive: true })
  writeFileSync(path, head + inputs.map(input => `${encodeInput(input)}\n`).join(''), 'latin1')
}

/** One input as a line. */
export function encodeInput(input: Buffer): string {
  let text = ''
  for (const byte of input) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c
    text += isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  if (text === '') return '\\'
  return text.startsWith('#') ? `\\x23${text.slice(1)}` : text
}

/** A line as an input. */
export function decodeInput(line: string): Buffer {
  if (line === '\\') return Buffer.alloc(0)
  const text = line.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(text, 'latin1')
}
