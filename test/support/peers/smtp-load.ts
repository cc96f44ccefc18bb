/**
 * Postfix's own load tools, smtp-source and smtp-sink: the same load and the same sink for every server.
 */
import { isListening, Program, run } from './process.ts'

export interface SmtpSink extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** How many messages were taken so far: smtp-sink counts one when it reads the final dot. */
  messages(): number
  /** How many sessions were opened so far. */
  sessions(): number
  /** Resolve with the monotonic time (`performance.now()`, ms) at which message `count` had come. */
  waitFor(count: number, timeoutMs: number): Promise<number>
}

/**
 * Start `smtp-sink -c` on 127.0.0.1:`port`. `args` come before the address (`-w 1` and the like).
 * It drops to the user nobody when started by root.
 */
export async function startSmtpSink(options: {
  readonly port: number
  readonly args?: readonly string[]
  /** Waiting connections. Default 256. */
  readonly backlog?: number
}): Promise<SmtpSink> {
  const address = '127.0.0.1'
  let sessions = 0
  let messages = 0
  let rest = ''
  let waiting: Array<{ count: number; resolve: (atMs: number) => void }> = []
  const onStdout = (chunk: Buffer): void => {
    // The counters come as `sess=1 quit=0 mesg=1` ended by CR; only the last complete group matters.
    rest += chunk.toString('latin1')
    const end = rest.lastIndexOf('\r')
    if (end < 0) return
    const last = rest.slice(rest.lastIndexOf('\r', end - 1) + 1, end)
    rest = rest.slice(end + 1)
    const numbers = /sess=(\d+) quit=\d+ mesg=(\d+)/.exec(last)
    if (numbers === null) return
    sessions = Number(numbers[1])
    messages = Number(numbers[2])
    if (waiting.length === 0) return
    const nowMs = performance.now()
    for (const one of waiting) if (messages >= one.count) one.resolve(nowMs)
    waiting = waiting.filter(one => messages < one.count)
  }
  const identity = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const program = new Program({
    name: 'smtp-sink',
    command: '/usr/sbin/smtp-sink',
    args: [
      '-c',
      ...identity,
      ...(options.args ?? []),
      `${address}:${options.port}`,
      String(options.backlog ?? 256),
    ],
    onStdout,
  })
  await program.until('a listener', () => isListening(address, options.port))
  return {
    port: options.port,
    pid: program.pid,
    messages: () => messages,
    sessions: () => sessions,
    waitFor: (count, timeoutMs) =>
      new Promise((resolve, reject) => {
        if (messages >= count) return resolve(performance.now())
        const timer = setTimeout(
          () => reject(new Error(`smtp-sink has ${messages} of ${count} messages after ${timeoutMs} ms`)),
          timeoutMs,
        )
        waiting.push({
          count,
          resolve: atMs => {
            clearTimeout(timer)
            resolve(atMs)
          },
        })
      }),
    [Symbol.asyncDispose]: () => program.stop(),
  }
}

export interface SmtpSourceOptions {
  readonly port: number
  readonly messages: number
  /** Parallel sessions. Default 1. */
  readonly sessions?: number
  /** Bytes of body, headers not counted. Default 4096. */
  readonly bodySizeBytes?: number
  /** Keep connections for further messages (`smtp-source -d`); false is one message a connection. */
  readonly isKept?: boolean
  readonly from?: string
  readonly to?: string
  readonly args?: readonly string[]
  readonly timeoutMs?: number
}

export interface SmtpSourceResult {
  /** Exit code; null when it had to be killed. */
  readonly exit: number | null
  /** Messages a second from its start to its end. */
  readonly rate: number
  readonly elapsedMs: number
  readonly stderr: string
}

/** Run smtp-source against 127.0.0.1 until all messages are sent. It ends at the first refusal with exit 1. */
export async function runSmtpSource(options: SmtpSourceOptions): Promise<SmtpSourceResult> {
  const args = [
    ...(options.isKept === true ? ['-d'] : []),
    ...['-s', String(options.sessions ?? 1)],
    ...['-m', String(options.messages)],
    ...['-l', String(options.bodySizeBytes ?? 4096)],
    ...['-f', options.from ?? 'sender@example.com'],
    ...['-t', options.to ?? 'recipient@sink.test'],
    ...['-M', 'client.example.com'],
    ...(options.args ?? []),
    `127.0.0.1:${options.port}`,
  ]
  const startMs = performance.now()
  const result = await run('/usr/sbin/smtp-source', args, { timeoutMs: options.timeoutMs ?? 600_000 })
  const elapsedMs = performance.now() - startMs
  return {
    exit: result.code,
    rate: (options.messages / elapsedMs) * 1000,
    elapsedMs,
    stderr: result.stderr.trim(),
  }
}
