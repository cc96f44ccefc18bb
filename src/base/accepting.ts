// A door whose accept fails is closed for a second instead of being asked again at once.
//
// Where accept fails, the connection stays in the system's queue, and the event loop would be woken for it without end. So
// the listening socket is closed, which tells clients to come later, and opened again until that works. Connections that
// are open already are not touched. Of want of descriptors today's libuv tells nobody: app/descriptor-watch.ts looks.

import type { Server } from 'node:net'

const pauseMs = 1000

export interface AcceptingOptions {
  /** Calls `server.listen` as at the first time. */
  readonly listen: () => void
  /** Told when the door is closed, with the system's code; not when it stays closed. */
  readonly onPause?: (code: string) => void
}

/** Watches a server that listens; dispose it before the server is closed for good. */
export function keepAccepting(server: Server, options: AcceptingOptions): Disposable {
  let timer: NodeJS.Timeout | null = null
  const onError = (error: NodeJS.ErrnoException): void => {
    if (timer !== null) return
    if (server.listening) {
      server.close()
      options.onPause?.(error.code ?? '')
    }
    timer = setTimeout(() => {
      timer = null
      options.listen()
    }, pauseMs)
    timer.unref()
  }
  server.on('error', onError)
  return {
    [Symbol.dispose](): void {
      server.off('error', onError)
      server.on('error', () => {})
      if (timer !== null) clearTimeout(timer)
      timer = null
    },
  }
}
