import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, Server } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { OperationsServer, type Readiness } from './operations.ts'

class Trial implements AsyncDisposable {
  readiness: Readiness = { ready: true }
  metrics: () => Promise<string> = async () => 'postrider_info 1\n'
  readonly server: OperationsServer = new OperationsServer({
    readiness: () => this.readiness,
    metrics: () => this.metrics(),
    metricsContentType: 'text/plain; version=0.0.4',
  })
  port = 0

  async open(): Promise<this> {
    const opened = await this.server.open({ host: '127.0.0.1', port: 0 })
    assert.ok(opened.ok)
    this.port = opened.port
    return this
  }

  async ask(
    path: string,
    options: RequestInit = {},
  ): Promise<{ status: number; body: string; headers: Headers }> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      ...options,
      headers: { Connection: 'close' },
    })
    return { status: response.status, body: await response.text(), headers: response.headers }
  }

  /** Sends raw bytes and reads until the server closes. */
  async raw(text: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1')
    let answer = ''
    socket.on('data', chunk => {
      answer += chunk
    })
    socket.on('error', () => {})
    socket.write(text)
    await once(socket, 'close')
    return answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

test('health is answered while the process lives; readiness says why not, and changes at once', async () => {
  await using trial = await new Trial().open()
  trial.readiness = { ready: false, reasons: ['starting'] }
  assert.equal((await trial.ask('/healthz')).status, 200)
  const waiting = await trial.ask('/readyz')
  assert.equal(waiting.status, 503)
  assert.deepEqual(JSON.parse(waiting.body), { status: 'not-ready', reasons: ['starting'] })
  trial.readiness = { ready: true }
  assert.equal((await trial.ask('/readyz')).status, 200)
})

test('metrics come with their content type, and as 503 when they cannot be collected', async () => {
  await using trial = await new Trial().open()
  const scrape = await trial.ask('/metrics?x=1')
  assert.equal(scrape.body, 'postrider_info 1\n')
  assert.match(scrape.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  trial.metrics = () => Promise.reject(new Error('thread is gone'))
  const failed = await trial.ask('/metrics')
  assert.equal(failed.status, 503)
  assert.equal(JSON.parse(failed.body).error.code, 'metrics-unavailable')
})

test('anything else is a JSON error, and its path cannot smuggle markup or lines into it', async () => {
  await using trial = await new Trial().open()
  const missing = await trial.ask('/api/v1/messages')
  assert.equal(missing.status, 404)
  assert.equal(JSON.parse(missing.body).error.code, 'not-found')
  assert.equal(missing.headers.get('x-content-type-options'), 'nosniff')
  const posted = await trial.ask('/healthz', { method: 'POST', body: 'x' })
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
  assert.equal((await trial.ask('/healthz', { method: 'HEAD' })).body, '')
})

test('broken requests and headers that are too large are refused and closed', async () => {
  await using trial = await new Trial().open()
  assert.match(await trial.raw('EHLO a.example\r\n\r\n'), /^HTTP\/1\.1 400 /)
  assert.match(
    await trial.raw(`GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 400 /,
  )
})

test('broken requests of clients that never close their side keep no place', async () => {
  await using trial = await new Trial().open()
  const options = { port: trial.port, host: '127.0.0.1', allowHalfOpen: true }
  const sockets = Array.from({ length: 200 }, () => connect(options))
  const ends = sockets.map(async socket => {
    socket.on('error', () => {})
    socket.resume().write('EHLO a\r\n\r\n')
    await once(socket, 'end')
  })
  await Promise.all(ends)
  const { status } = await trial.ask('/healthz')
  for (const socket of sockets) socket.destroy()
  assert.equal(status, 200)
})

test('a port that is taken is a sentence and not a throw', async () => {
  await using trial = await new Trial().open()
  const second = new OperationsServer({
    readiness: () => ({ ready: true }),
    metrics: async () => '',
    metricsContentType: 'text/plain',
  })
  const result = await second.open({ host: '127.0.0.1', port: trial.port })
  assert.ok(!result.ok)
  assert.equal(result.what, `127.0.0.1:${trial.port} is already in use`)
})

test('closing waits for nobody for long: not for who has sent nothing or half a request, not for an answer that never comes', async () => {
  await using trial = await new Trial().open()
  trial.metrics = () => new Promise<never>(() => {})
  const sockets = ['', 'GET /healthz HTTP/1.1\r\nHo', 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'].map(
    text => {
      const socket = connect(trial.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(text)
      return socket
    },
  )
  const closed = Promise.all(sockets.map(socket => once(socket, 'close')))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  // An answer to who came after them: they have all been accepted.
  assert.equal((await trial.ask('/healthz')).status, 200)
  const end = await Promise.race([trial.server[Symbol.asyncDispose](), sleep(20_000, 'it still waits')])
  for (const socket of sockets) socket.destroy()
  assert.equal(end, undefined)
  await closed
})

test('closing a server that was never opened ends at once', async () => {
  await new Trial().server[Symbol.asyncDispose]()
})

test('a port whose accept fails stays open', async () => {
  await using trial = await new Trial().open()
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles(): unknown[] }
  const isPort = (one: unknown): one is Server => one instanceof Server && portOf(one) === trial.port
  handles
    .call(process)
    .find(isPort)
    ?.emit('error', Object.assign(new Error('accept'), { code: 'ENOMEM' }))
  assert.equal((await trial.ask('/readyz')).status, 200)
})

function portOf(server: Server): number | null {
  const address = server.address()
  return typeof address === 'object' ? (address?.port ?? null) : null
}
