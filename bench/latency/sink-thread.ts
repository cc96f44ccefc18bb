/**
 * The sink of latency runs, in a worker thread of its own: an SMTP server that notes in shared memory when
 * the final dot of each message arrived. Message n is the one to `n@…`. Loopback only, not hardened.
 */
import { createServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

/** `arrivals[n]` is the time message n arrived (`process.hrtime`, ms), 0 before; `twice[0]` counts repeats. */
export interface SinkThreadData {
  readonly arrivals: Float64Array<SharedArrayBuffer>
  readonly twice: Int32Array<SharedArrayBuffer>
}

const endOfData = Buffer.from('\r\n.\r\n')

if (parentPort !== null) serve(workerData as SinkThreadData, parentPort.postMessage.bind(parentPort))

function serve(data: SinkThreadData, post: (port: number) => void): void {
  const server = createServer({ noDelay: true }, socket => converse(socket, data))
  server.listen({ host: '127.0.0.1', port: 0 }, () => {
    const bound = server.address()
    if (typeof bound === 'object' && bound !== null) post(bound.port)
  })
}

function converse(socket: Socket, data: SinkThreadData): void {
  let rest: Buffer = Buffer.alloc(0)
  let isInData = false
  let numbers: number[] = []
  socket.on('error', () => {})
  socket.write('220 sink.test ESMTP\r\n')
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let replies = ''
    for (;;) {
      if (isInData) {
        const end = rest.indexOf(endOfData)
        if (end < 0) break
        note(data, numbers)
        rest = rest.subarray(end + endOfData.length)
        isInData = false
        numbers = []
        replies += '250 2.0.0 ok\r\n'
        continue
      }
      const end = rest.indexOf('\r\n')
      if (end < 0) break
      const line = rest.toString('latin1', 0, end)
      rest = rest.subarray(end + 2)
      const verb = line.slice(0, 4).toUpperCase()
      if (verb === 'RCPT') numbers.push(Number.parseInt(line.slice(line.indexOf('<') + 1), 10))
      isInData = verb === 'DATA'
      replies += isInData
        ? '354 go on\r\n'
        : verb === 'EHLO'
          ? '250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n'
          : '250 2.0.0 ok\r\n'
      if (verb === 'QUIT') return void socket.end('221 2.0.0 bye\r\n')
    }
    if (replies !== '') socket.write(replies)
  })
}

function note(data: SinkThreadData, numbers: readonly number[]): void {
  const [seconds, nanoseconds] = process.hrtime()
  for (const number of numbers) {
    if (data.arrivals[number] !== 0) data.twice[0] = (data.twice[0] ?? 0) + 1
    data.arrivals[number] = seconds * 1000 + nanoseconds / 1e6
  }
}
