// Control-plane calls across threads: rare, so they travel as structured clones; only bytes need care.

import type { PackedStoreError } from '../errors.ts'
import { asBuffer } from '../format/index.ts'

/** A call to the store thread. */
export interface ControlCall {
  readonly id: number
  readonly name: string
  readonly args: readonly unknown[]
}

/** Its answer. */
export interface ControlAnswer {
  readonly id: number
  readonly value: unknown
  readonly error: PackedStoreError | null
}

/** A clone turns Buffers into Uint8Arrays: makes the fields of a record Buffers again. */
export function restoreBuffers<T>(value: T): T {
  if (value instanceof Uint8Array) return asBuffer(value) as T
  if (typeof value !== 'object' || value === null) return value
  const record = value as Record<string, unknown>
  for (const [name, field] of Object.entries(record)) record[name] = restoreBuffers(field)
  return value
}
