// Accepted sockets that read into one buffer of their thread, instead of into 64 KiB of new memory at each read.
//
// Place on the path: between a listener's server and its sessions. Node offers this (`onread`) to sockets that it is asked
// to make, and a server makes its own; so the handle of an accepted connection is taken before the server does. Where a
// release of Node has no such handle, the server's ordinary sockets are used: slower by some microseconds a message.
// Invariant: bytes are valid only until the receiver returns; it copies what it keeps.

import net from 'node:net'
import type { BorrowedReads } from '../protocol/smtp/index.ts'

/** What Node's server has inside. */
interface ListeningHandle {
  onconnection: (this: ListeningHandle, status: number, client?: unknown) => void
}

/**
 * Takes the connections of a server that listens. False: Node does not let us, and the server goes on as usual.
 * @param take calls `open` now or later: until then nothing of the connection is read
 */
export function shareReads(
  server: net.Server,
  buffer: Buffer,
  accepted: (socket: net.Socket, reads: BorrowedReads) => void,
  take: (open: () => void) => void = open => open(),
): boolean {
  const handle = (server as { readonly _handle?: Partial<ListeningHandle> })._handle
  const usual = handle?.onconnection
  if (handle === undefined || typeof usual !== 'function') return false
  handle.onconnection = function onConnection(this: ListeningHandle, status: number, client?: unknown): void {
    if (status !== 0 || client === undefined) {
      usual.call(this, status, client)
      return
    }
    const reads: BorrowedReads = { receive: null }
    const onread = {
      buffer,
      callback: (sizeBytes: number): boolean => {
        reads.receive?.(buffer.subarray(0, sizeBytes))
        return true
      },
    }
    take(() =>
      accepted(new net.Socket({ handle: client, onread } as unknown as net.SocketConstructorOpts), reads),
    )
  }
  return true
}
