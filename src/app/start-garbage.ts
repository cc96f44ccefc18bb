// Gives back what the start has used of the main thread's heap.
//
// Place on the path: off it, once the server is ready. Reading modules and configuration makes the nursery grow to 14 MB,
// and from then on the main thread makes so little garbage that V8 never looks whether it still needs them. Only a
// collection of the last resort makes the nursery small again, and only V8's own `gc` can ask for one
// (docs/decisions/0032-the-start-gives-its-memory-back.md).

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: {
  readonly type: 'major'
  readonly execution: 'sync'
  readonly flavor: 'last-resort'
}) => void

/** Collects the garbage of this thread and shrinks its heap to what is alive. Takes some 30 ms. */
export function collectStartGarbage(): void {
  // The function appears in contexts that are made while the flag is set.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
