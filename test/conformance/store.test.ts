// Runs the store suites against each implementation.

import { startStoreInProcess, startStoreThread } from '../../src/store/index.ts'
import { accountsSuite } from './accounts-suite.ts'
import { contentSuite } from './content-suite.ts'
import { controlSuite } from './control-suite.ts'
import { queueModelSuite } from './queue-model-suite.ts'
import { queueSuite } from './queue-suite.ts'
import type { StartStore } from './support.ts'

const implementations: readonly (readonly [string, StartStore])[] = [
  ['SQLite in-process', async options => startStoreInProcess(options)],
  ['SQLite in its thread', startStoreThread],
]

for (const [name, start] of implementations) {
  queueSuite(name, start)
  controlSuite(name, start)
  accountsSuite(name, start)
  contentSuite(name, start)
  const isThread = start === startStoreThread
  queueModelSuite(name, start, !isThread, isThread ? 10 : 30)
}
