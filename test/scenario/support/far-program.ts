// The program on the far side of a line that is going to be cut: receivers that fall silent, clients that stand somewhere.
//
// `far-side.ts` runs it in a network, or at least a process, of its own. Orders come as lines of JSON on the standard
// input, reports go out the same way; it ends when its input does, so that it never outlives the test.

import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { plainToken, SmtpClient } from './client.ts'
import type { Doors, FarOrder, FarReport, Post } from './far-side.ts'
import { Receiver, type SilentPoint } from './receiver.ts'

/** Where a client can stand; each resolves when it stands there. */
const posts: Readonly<Record<Post, (doors: Doors) => Promise<SmtpClient>>> = {
  greeted: doors => connect(doors, doors.relay),
  command: async doors => {
    const client = await connect(doors, doors.relay)
    client.write('EHLO half-a-na')
    return client
  },
  handshake: async doors => {
    const client = await SmtpClient.open(doors.submissions, { host: doors.host, localAddress: doors.from })
    client.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]))
    return client
  },
  login: async doors => {
    const client = await connect(doors, doors.submissions, true)
    await client.hello()
    await client.command(`AUTH PLAIN ${plainToken(doors.username, doors.secret)}`)
    return client
  },
  data: async doors => {
    const client = await envelope(doors)
    await client.command('DATA')
    client.write('Subject: half of a con')
    return client
  },
  bdat: async doors => {
    const client = await envelope(doors)
    client.write('BDAT 100000\r\nSubject: half of a con')
    return client
  },
  // Commands until nothing moves any more: the server waits for a client to read its replies.
  deaf: async doors => {
    const client = await envelope(doors)
    client.stopReading()
    const commands = Buffer.from('RCPT TO:<u@calm.example>\r\n'.repeat(2000))
    for (let isMoving = true; isMoving; )
      isMoving = await Promise.race([client.writeAll(commands).then(() => true), sleep(500, false)])
    return client
  },
}

function connect(doors: Doors, port: number, isTls: boolean = false): Promise<SmtpClient> {
  return SmtpClient.connect(port, { host: doors.host, localAddress: doors.from, isTls })
}

async function envelope(doors: Doors): Promise<SmtpClient> {
  const client = await connect(doors, doors.relay)
  await client.hello()
  await client.command('MAIL FROM:<ann@acme.example>')
  await client.command('RCPT TO:<u@calm.example>')
  return client
}

let isSilent = true
const receivers: Receiver[] = []
const standing: [post: Post, client: SmtpClient][] = []

function report(what: FarReport): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

/** A receiver for each point, which falls silent there until the order `speak`, and one that never does. */
async function listen(host: string): Promise<void> {
  const ports: Record<string, number> = {}
  for (const fate of ['data', 'content', 'end', 'kept'] as const) {
    const receiver = await Receiver.start({
      host,
      falls: (point: SilentPoint, to: readonly string[]) => {
        if (!isSilent || point !== fate) return false
        report({ fell: fate, to })
        return true
      },
      endOfData: ({ to }) => {
        report({ taken: to })
        return '250 2.0.0 taken'
      },
    })
    receivers.push(receiver)
    ports[fate] = receiver.port
  }
  report({ ports })
}

async function stand({ doors, each }: { readonly doors: Doors; readonly each: number }): Promise<void> {
  for (const post of Object.keys(posts) as Post[])
    await Promise.all(
      Array.from({ length: each }, async () => void standing.push([post, await posts[post](doors)])),
    )
  // Asked for after the slowest has come to its place.
  const stands: Partial<Record<Post, number>> = {}
  for (const [post, { isClosed }] of standing) stands[post] = (stands[post] ?? 0) + (isClosed ? 0 : 1)
  report({ stands })
}

async function obey(order: FarOrder): Promise<void> {
  if ('listen' in order) await listen(order.listen)
  if ('stand' in order) await stand(order.stand)
  if ('speak' in order) isSilent = false
}

const input = createInterface({ input: process.stdin })
input.on('line', line => {
  obey(JSON.parse(line) as FarOrder).catch(error => report({ failed: String(error) }))
})
input.on('close', () => {
  for (const [, client] of standing) void client[Symbol.asyncDispose]()
  for (const receiver of receivers) void receiver[Symbol.asyncDispose]()
})
report({ isThere: true })
