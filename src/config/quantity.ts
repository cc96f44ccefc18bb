// Durations and sizes as people write them: `30s`, `5m`, `2h`, `2d`, `25MiB`.
//
// Place on the path: off it; configuration, CLI flags and reference pages read and print them.
// Invariants: one number and one unit; the value is a whole number of milliseconds or bytes; parse(format(x)) is x.

import type { Parsed } from '../base/index.ts'

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const
const sizeUnits = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const

/** Reads `500ms`, `30s`, `5m`, `2h`, `2d`, `1w` as milliseconds. */
export function parseDuration(text: string): Parsed<number> {
  return parseQuantity(text, durationUnits, 'a duration such as "30s", "5m", "2h" or "2d"')
}

/** Reads `512B`, `64KiB`, `25MiB`, `2GiB` as bytes. */
export function parseSize(text: string): Parsed<number> {
  return parseQuantity(text, sizeUnits, 'a size such as "64KiB" or "25MiB"')
}

/** The shortest exact text of a whole number of milliseconds. */
export function formatDuration(durationMs: number): string {
  return formatQuantity(durationMs, durationUnits, 's')
}

/** The shortest exact text of a whole number of bytes. */
export function formatSize(sizeBytes: number): string {
  return formatQuantity(sizeBytes, sizeUnits, 'B')
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>, kind: string): Parsed<number> {
  const match = /^(\d{1,15})([A-Za-z]{1,3})$/.exec(text)
  const unit = match?.[2] ?? ''
  if (match === null || !Object.hasOwn(units, unit))
    return { ok: false, why: `${JSON.stringify(text.slice(0, 40))} is not ${kind}` }
  const value = Number(match[1]) * units[unit]!
  if (!Number.isSafeInteger(value)) return { ok: false, why: `${JSON.stringify(text)} is too large` }
  return { ok: true, value }
}

/** The largest unit that divides the value; zero is written with `zeroUnit`. */
function formatQuantity(value: number, units: Readonly<Record<string, number>>, zeroUnit: string): string {
  if (value === 0) return `0${zeroUnit}`
  const [unit, factor] = Object.entries(units).findLast(([, one]) => value % one === 0) ?? [zeroUnit, 1]
  return `${value / factor}${unit}`
}
