// The HTTP endpoints for whoever runs the machine: /healthz, /readyz and /metrics; later the API stands beside them.
//
// Place on the path: off it; runs in the main thread, so that it answers while the relay threads are busy. Invariants:
// request bodies are never read; headers, connections and times are bounded; every error is a JSON object.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { formatSocketAddress } from '../config/index.ts'

/** Why the server should get no traffic now. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reasons: readonly string[] }

export interface OperationsParts {
  /** Asked at each /readyz: not ready until all doors are open, and again while draining. */
  readonly readiness: () => Readiness
  /** The text of a scrape. A rejection is answered 503. */
  readonly metrics: () => Promise<string>
  readonly metricsContentType: string
}

/** What opening the port gave. */
export type OpenResult =
  | { readonly ok: true; readonly port: number }
  | { readonly ok: false; readonly what: string; readonly hint: string }

const headerTimeoutMs = 10_000
const requestTimeoutMs = 15_000
const connectionsMax = 200
const headerSizeBytesMax = 16_384
/** A connection on which nothing moves for so long is closed, whatever it waits for: also who reads no answer. */
const silenceMsMax = 20_000
/** How long requests under way are waited for at the end. */
const closeGraceMs = 1000

export class OperationsServer {
  readonly #parts: OperationsParts
  readonly #server: Server

  constructor(parts: OperationsParts) {
    this.#parts = parts
    this.#server = createServer(
      {
        maxHeaderSize: headerSizeBytesMax,
        headersTimeout: headerTimeoutMs,
        requestTimeout: requestTimeoutMs,
        keepAliveTimeout: 5000,
        connectionsCheckingInterval: 1000,
      },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.maxConnections = connectionsMax
    this.#server.timeout = silenceMsMax
    this.#server.on('clientError', (_error, socket) => {
      // Whoever listens here closes the connection, too: a client that does not would keep its place for ever.
      const close = () => socket.destroy()
      if (socket.writable)
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', close)
      else close()
    })
  }

  /** Opens the port; 0 takes any free one. */
  async open(address: { readonly host: string; readonly port: number }): Promise<OpenResult> {
    const { promise, resolve } = Promise.withResolvers<OpenResult>()
    const where = formatSocketAddress(address)
    const onError = (error: NodeJS.ErrnoException) =>
      resolve({ ok: false, ...openFault(where, error.code ?? '') })
    this.#server.once('error', onError)
    this.#server.listen(address.port, address.host, () => {
      this.#server.off('error', onError)
      // Accept may fail: the door stays open (intake/listener.ts says why).
      this.#server.on('error', () => undefined)
      const bound = this.#server.address()
      resolve({ ok: true, port: typeof bound === 'object' && bound !== null ? bound.port : address.port })
    })
    return await promise
  }

  /** Answers what is under way, for a second at most, and closes the rest. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    // Closes idle connections; one that has sent nothing yet, or half a request, is not idle, and is timed no more.
    this.#server.close(() => resolve())
    const cut = setTimeout(() => this.#server.closeAllConnections(), closeGraceMs)
    await promise
    clearTimeout(cut)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A body is not read: the connection ends with the answer.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
      response.setHeader('Connection', 'close')
    const path = (request.url ?? '').split('?', 1)[0]
    const isKnown = path === '/healthz' || path === '/readyz' || path === '/metrics'
    if (!isKnown)
      return sendError(
        response,
        404,
        'not-found',
        `there is nothing at ${JSON.stringify(path)}`,
        'try /healthz, /readyz or /metrics',
      )
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return sendError(
        response,
        405,
        'method-not-allowed',
        `${path} cannot be asked with ${request.method}`,
        'use GET',
      )
    }
    if (path === '/healthz') return sendJson(response, 200, { status: 'ok' })
    if (path === '/readyz') return this.#answerReady(response)
    try {
      send(response, 200, this.#parts.metricsContentType, await this.#parts.metrics())
    } catch {
      // A thread that is starting or ending: the next scrape will do.
      sendError(response, 503, 'metrics-unavailable', 'the metrics could not be collected', 'ask again')
    }
  }

  #answerReady(response: ServerResponse): void {
    const readiness = this.#parts.readiness()
    if (readiness.ready) sendJson(response, 200, { status: 'ready' })
    else sendJson(response, 503, { status: 'not-ready', reasons: readiness.reasons })
  }
}

function openFault(where: string, code: string): { what: string; hint: string } {
  if (code === 'EADDRINUSE')
    return {
      what: `${where} is already in use`,
      hint: 'is another Postrider running? otherwise change [http] address',
    }
  if (code === 'EACCES')
    return {
      what: `${where} may not be opened by this user`,
      hint: 'use a port above 1023 in [http] address',
    }
  if (code === 'EADDRNOTAVAIL')
    return { what: `${where} is not an address of this machine`, hint: 'change [http] address' }
  return { what: `${where} cannot be opened (${code})`, hint: 'change [http] address' }
}

function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  hint: string,
): void {
  sendJson(response, status, { error: { code, message, hint } })
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, 'application/json; charset=utf-8', `${JSON.stringify(body)}\n`)
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(body)
}
