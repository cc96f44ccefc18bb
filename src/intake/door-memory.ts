// What the doors of all relay threads share: made by the main thread, handed to each.

import { DoorCounts } from './door-counts.ts'
import { HeldContents } from './held.ts'
import { LoginFailures } from './login-failures.ts'

/** Memory of `DoorCounts`, `LoginFailures` and `HeldContents`. */
export interface DoorMemory {
  readonly counts: SharedArrayBuffer
  readonly failures: SharedArrayBuffer
  readonly held: SharedArrayBuffer
}

/** @param randomBytes seeds of the hashes */
export function allocateDoorMemory(randomBytes: (size: number) => Buffer): DoorMemory {
  const random = randomBytes(12)
  return {
    counts: DoorCounts.allocate(random.readInt32LE(0)),
    failures: LoginFailures.allocate([random.readInt32LE(4), random.readInt32LE(8)]),
    held: HeldContents.allocate(),
  }
}
