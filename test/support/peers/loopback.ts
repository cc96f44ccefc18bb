/** A plain TCP server on a free port of 127.0.0.1, for what a peer program asks the test. */
import { createServer, type Socket } from 'node:net'

export interface Loopback extends AsyncDisposable {
  readonly port: number
}

/** Hands each connection to `talk`; disposing it cuts those that are open. */
export async function listenOnLoopback(talk: (socket: Socket) => void): Promise<Loopback> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    talk(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}
