// How much memory something takes for as long as it is held: garbage is collected before and after.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes that the heap has more while `make`'s result is held than before. */
export function heapTakenBy(make: () => unknown): number {
  const collect = collector()
  collect()
  const before = process.memoryUsage().heapUsed
  const held = [make()]
  collect()
  const after = process.memoryUsage().heapUsed
  // Named again, so that it is held until here.
  return held.length === 1 ? after - before : 0
}

/** Bytes outside of the heap that buffers hold alive. */
export function bufferBytes(): number {
  const collect = collector()
  collect()
  collect()
  return process.memoryUsage().arrayBuffers
}

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
