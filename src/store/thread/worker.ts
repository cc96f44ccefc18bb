// Entry of the store thread. Opens the writer, says so, then serves every port it is handed.
//
// Talks to the main thread about its life only (ready, failed, connect, close, fatal, refusing, slow);
// requests come through the ports.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { packError } from '../errors.ts'
import { restoreBuffers } from './control-codec.ts'
import { type OpenedStore, openService, type StoreOptions } from './open-service.ts'
import type { FromWorker, ToWorker } from './start.ts'

const main = parentPort
if (main !== null) serve(main, restoreBuffers(workerData as StoreOptions))

function serve(main: MessagePort, options: StoreOptions): void {
  const say = (message: FromWorker): void => main.postMessage(message)
  let opened: OpenedStore
  try {
    opened = openService(options, {
      onFatal: error => say({ kind: 'fatal', error }),
      onRefusing: why => say({ kind: 'refusing', why }),
      onSlow: tookMs => say({ kind: 'slow', tookMs }),
    })
  } catch (error) {
    say({ kind: 'failed', error: packError(error) })
    main.close()
    return
  }
  main.on('message', (message: ToWorker) => {
    if (message.kind === 'connect') opened.service.attach(message.port)
    else {
      opened.close()
      say({ kind: 'closed' })
      main.close()
    }
  })
  say({ kind: 'ready', clockBehindMs: opened.clockBehindMs })
}
