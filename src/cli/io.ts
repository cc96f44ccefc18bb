// The world as a command sees it: streams, environment, folder. Tests hand in their own.

import { once } from 'node:events'
import { hostname } from 'node:os'
import type { Readable, Writable } from 'node:stream'

/** An output and whether a person looks at it. */
export interface Output {
  readonly stream: Writable
  readonly isTerminal: boolean
}

export interface Io {
  readonly stdin: Readable
  readonly isStdinTerminal: boolean
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly machineName: string
  /** Aborted when nobody reads our output any more. */
  readonly closed: AbortSignal
}

/** The real one. */
export function processIo(from: NodeJS.Process): Io {
  const closed = new AbortController()
  for (const stream of [from.stdout, from.stderr]) stream.on('error', () => closed.abort())
  return {
    stdin: from.stdin,
    isStdinTerminal: from.stdin.isTTY === true,
    stdout: { stream: from.stdout, isTerminal: from.stdout.isTTY === true },
    stderr: { stream: from.stderr, isTerminal: from.stderr.isTTY === true },
    env: from.env,
    cwd: from.cwd(),
    machineName: hostname(),
    closed: closed.signal,
  }
}

/** Colours are for people at a terminal who have not said NO_COLOR. */
export function hasColours(output: Output, { NO_COLOR: noColour = '' }: Io['env']): boolean {
  return output.isTerminal && noColour === ''
}

/** Writes, and waits while the reader is slow. */
export async function write(output: Output, text: string, signal: AbortSignal): Promise<void> {
  if (text === '' || signal.aborted || output.stream.write(text)) return
  await once(output.stream, 'drain', { signal }).catch(() => undefined)
}

/** Everything of a stream as bytes, at most `sizeBytesMax`; null when it is more. */
export async function readAll(stream: Readable, sizeBytesMax: number): Promise<Buffer | null> {
  const parts: Buffer[] = []
  let sizeBytes = 0
  for await (const part of stream) {
    const bytes = Buffer.isBuffer(part) ? part : Buffer.from(String(part))
    sizeBytes += bytes.length
    if (sizeBytes > sizeBytesMax) return null
    parts.push(bytes)
  }
  return Buffer.concat(parts)
}
