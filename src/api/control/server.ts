// The control server: a Unix socket in the data folder over which the command line program talks to the relay.
//
// Place on the path: off it. Who can open the socket (mode 0600) is the operator: there is no further authentication.
// Invariants: never two servers on one socket; a socket that a dead server left behind is replaced, and its folder in a
// short place removed; connections are bounded; after `close` no socket file remains.

import { chmodSync, lstatSync, rmdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { ControlCommands } from './command.ts'
import { controlCommands } from './commands.ts'
import { ControlConnection } from './connection.ts'
import type { ControlPorts } from './ports.ts'
import { findEarlierPlace, makeSocketPlace, type ShortFolders, type SocketPlace } from './socket-path.ts'
import { type ControlError, failed, line } from './wire.ts'

export interface ControlServerOptions {
  readonly dataDir: string
  /** Where the socket may go when the path of the data folder is too long. */
  readonly shortFolders: ShortFolders
  /** 64 by default. */
  readonly connectionsMax?: number
}

export type ControlServerResult =
  | { readonly ok: true; readonly server: ControlServer }
  | { readonly ok: false; readonly error: ControlError }

/** Starts the control server; resolves when clients can connect. Never rejects. */
export async function startControlServer(
  options: ControlServerOptions,
  ports: ControlPorts,
): Promise<ControlServerResult> {
  try {
    await clearEarlierPlace(options)
    const place = makeSocketPlace(options.dataDir, options.shortFolders)
    const taken = await clearPlace(place.path)
    if (taken !== null) return { ok: false, error: taken }
    const server = new ControlServer(place, controlCommands(ports), options.connectionsMax ?? 64)
    await server.listen()
    return { ok: true, server }
  } catch (error) {
    const { message } = error as Error
    return failed(
      'control-socket',
      `the control socket cannot be opened: ${message}`,
      'check data_dir and its owner',
    )
  }
}

/** A listening control server. */
export class ControlServer implements AsyncDisposable {
  readonly #place: SocketPlace
  readonly #commands: ControlCommands
  readonly #server: Server
  readonly #connections = new Set<ControlConnection>()
  readonly #connectionsMax: number
  #isClosed = false

  constructor(place: SocketPlace, commands: ControlCommands, connectionsMax: number) {
    this.#place = place
    this.#commands = commands
    this.#connectionsMax = connectionsMax
    this.#server = createServer({ allowHalfOpen: true }, socket => this.#accept(socket))
    this.#server.on('listening', () => chmodSync(place.path, 0o600))
  }

  /** Where it listens. */
  get path(): string {
    return this.#place.path
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#place.path, () => {
        this.#server.off('error', reject)
        // Accept may fail: the door stays open (intake/listener.ts says why).
        this.#server.on('error', () => undefined)
        resolve()
      })
    })
  }

  /** Ends every connection, running commands included, and removes the socket. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const closed = new Promise(resolve => this.#server.close(resolve))
    for (const connection of this.#connections) connection.close()
    const graceMs = 1000
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy()
    }, graceMs)
    await closed
    clearTimeout(timer)
    const { path, pathFile, folder } = this.#place
    rmSync(path, { force: true })
    if (pathFile !== null) rmSync(pathFile, { force: true })
    if (folder !== null) rmSync(folder, { force: true, recursive: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#connectionsMax) {
      socket.on('error', () => undefined)
      const message = `${this.#connectionsMax} clients are connected to the control socket already`
      const { error } = failed(
        'too-many-clients',
        message,
        'end some of them, for instance `postrider events --follow`',
      )
      // Nobody keeps it in mind: half open, it would hold the end of the server for as long as the client likes.
      socket.end(line({ id: 0, error }), () => socket.destroy())
      return
    }
    const connection = new ControlConnection(socket, this.#commands)
    this.#connections.add(connection)
    void connection.closed.finally(() => this.#connections.delete(connection)).catch(() => undefined)
  }
}

/** Removes the short place of a dead server. That it cannot be removed is no reason not to start. */
async function clearEarlierPlace({ dataDir, shortFolders }: ControlServerOptions): Promise<void> {
  const earlier = findEarlierPlace(dataDir, shortFolders)
  if (earlier === null) return
  try {
    if (await answers(earlier.path)) return
    rmSync(earlier.path, { force: true })
    rmdirSync(earlier.folder)
  } catch {
    // It stays.
  }
}

/** Removes what a dead server left; an error when a live one listens or the path is something else. */
async function clearPlace(path: string): Promise<ControlError | null> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return null
  if (!found.isSocket())
    return failed('control-socket', `${path} is not a socket`, 'move that file out of the data folder').error
  if (await answers(path))
    return failed(
      'server-running',
      `a server is already listening on ${path}`,
      'stop it first, or give this one another data_dir',
    ).error
  rmSync(path, { force: true })
  return null
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      // A full accept queue belongs to a live server.
      else if (error.code === 'EAGAIN') resolve(true)
      else reject(error)
    })
  })
}
