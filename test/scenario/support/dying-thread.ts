// Loaded into every thread of a server (`dyingThread`): one thread of it dies when the test says so.
//
// The thread named by DYING_THREAD throws once the file DYING_WHEN is there, as a fault of ours that nobody handled would.

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { threadName } from 'node:worker_threads'

const { DYING_THREAD: name, DYING_WHEN: path } = process.env
if (name !== undefined && path !== undefined && threadName === name)
  setInterval(() => {
    if (existsSync(path)) throw new Error(`${name} dies here`)
  }, 50).unref()

/** Environment for a server whose thread of this name can be made to die, and what makes it. */
export function dyingThread(thread: string, folder: string): { env: Record<string, string>; die(): void } {
  const when = join(folder, 'die-now')
  return {
    env: { NODE_OPTIONS: `--import=${import.meta.url}`, DYING_THREAD: thread, DYING_WHEN: when },
    die: () => writeFileSync(when, ''),
  }
}
