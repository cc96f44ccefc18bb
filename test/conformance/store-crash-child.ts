// For store-crash.test.ts: accepts messages as fast as it can and prints the id of each one after its commit, until killed.

import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { openThreadStore, startStoreThread } from '../../src/store/index.ts'
import { newMessage, startMs } from './support.ts'

const dataDir = process.argv[2]!
const host = await startStoreThread({ dataDir, node: 1, nowMs: startMs })
const store = openThreadStore({ dataDir, port: host.connect(), thread: 0, nowMs: () => Date.now() })
const large = randomBytes(40_000)

async function hammer(worker: number): Promise<never> {
  for (let i = 0; ; i++) {
    let message = newMessage()
    if ((i + worker) % 4 === 0) {
      const spooled = store.spool.begin()
      await spooled.write(large)
      message = newMessage({ content: { kind: 'segments', ...(await spooled.finish()) } })
    }
    const result = await store.queue.accept(message)
    if (result.kind === 'stored') writeSync(1, `${message.id.toString('hex')}\n`)
  }
}
await Promise.all(Array.from({ length: 20 }, (_, worker) => hammer(worker)))
