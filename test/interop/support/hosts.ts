// MX hosts on loopback addresses of their own, all in front of one receiver: shows which host was chosen and keeps what
// the client sent. On request a host holds the answer to MAIL back until RCPT has come, which only a client that
// pipelines will see through.

import net from 'node:net'

/** Listeners that pass everything on to one port. */
export class Hosts implements AsyncDisposable {
  readonly #servers: net.Server[] = []
  readonly #sockets = new Set<net.Socket>()
  /** Addresses that were connected to, in order. */
  readonly chosen: string[] = []
  /** What clients wrote, in the pieces in which it came. */
  readonly writes: string[] = []

  /** Starts a host at each address. `to` is where they pass connections on to. */
  static async start(options: {
    readonly addresses: readonly string[]
    readonly port: number
    readonly to: { readonly address: string; readonly port: number }
    readonly holdsMailReply?: boolean
  }): Promise<Hosts> {
    const hosts = new Hosts()
    for (const address of options.addresses) {
      const server = net.createServer(socket => {
        hosts.chosen.push(address)
        hosts.#join(socket, net.connect(options.to.port, options.to.address), options.holdsMailReply === true)
      })
      hosts.#servers.push(server)
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host: address, port: options.port }, resolve)
      })
    }
    return hosts
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const server of this.#servers) await new Promise(resolve => server.close(resolve))
  }

  #join(client: net.Socket, server: net.Socket, holdsMailReply: boolean): void {
    let said = ''
    let held: Buffer[] = []
    const isHeld = (): boolean => holdsMailReply && /^MAIL /im.test(said) && !/^RCPT /im.test(said)
    client.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1')
      this.writes.push(text)
      said += text
      server.write(chunk)
      if (isHeld()) return
      for (const reply of held) client.write(reply)
      held = []
    })
    server.on('data', (chunk: Buffer) => {
      if (isHeld()) held.push(chunk)
      else client.write(chunk)
    })
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('end', () => other.end())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }
}
