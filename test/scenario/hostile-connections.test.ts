// Situation: connections that only cost (the rows "slowloris" and "half-open, RST, FIN" of the resource-exhaustion table):
// thousands at once that send a byte now and then in every phase, thousands that break off, clients that never read.
//
// The deadlines are shortened by configuration. Each attacker looks at every reply on his way, so that he is where he says. An
// ordinary client is served meanwhile, everything is closed in the end, and neither descriptors nor memory stay behind.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import { freePort } from '../support/postrider.ts'
import { closed, describe, manyAddresses, rawConnection, Siege } from './support/siege.ts'

/** Clients of these addresses need no login, so that they come as far as DATA without the cost of TLS. */
const network = '127.30.0.0/16'
const inside = (index: number): string => `127.30.${(index >> 8) & 255}.${index & 255 || 1}`

/** Between commands, in the content, and for a TLS handshake or PROXY header. */
const deadlinesMs = { idle: 10_000, dataIdle: 8000, handshake: 6000 } as const
/** Deadlines are looked at once a second, and time is read from a clock that is a second coarse. */
const coarseMs = 1000
/** A drip, and a busy machine. */
const slackMs = 4000
/** How soon an ordinary client is served while others drip. */
const servedMsMax = 1000
const unreadMs = 3000

const limits = [
  '[limits]',
  `idle = "${deadlinesMs.idle}ms"`,
  `data_idle = "${deadlinesMs.dataIdle}ms"`,
  `handshake = "${deadlinesMs.handshake}ms"`,
  // Who attacks from few networks is found by that, however fast: no client has been here for long enough.
  'stranger = "10m"',
  `unread_replies = "${unreadMs}ms"`,
  // So that the rate of an address is not what is tested here.
  'connection_rate_per_address = 100000',
].join('\n')

let siege: Siege
let proxied: number
let calmDescriptors: number
before(async () => {
  proxied = await freePort()
  const door = `[[listener]]\naddress = "127.0.0.1:${proxied}"\nkind = "submission"\nproxy_protocol = ["127.40.0.0/16"]`
  siege = await Siege.open({
    toml: `${limits}\n${door}\n`,
    relay: `networks = ["${network}"]\naccount = "acme"`,
  })
  await settled()
  calmDescriptors = siege.descriptors
})
after(() => siege[Symbol.asyncDispose]())

async function attacked(
  t: TestContext,
  max: number,
  attack: (round: number) => Promise<void>,
  slowestMsMax?: number,
): Promise<void> {
  t.diagnostic(describe(await siege.during(attack, max, slowestMsMax)))
}

/** Waits until no session is open any more. */
async function settled(timeoutMs: number = 60_000): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while ((await siege.metric('postrider_sessions_open')) > 0) {
    if (Date.now() > endMs) throw new Error('sessions stay open')
    await sleep(100)
  }
}

/** A connection that takes in whatever comes. */
async function connection(port: number, localAddress: string): Promise<Socket> {
  const socket = await rawConnection(port, localAddress)
  assert.ok(!socket.destroyed, 'connected')
  socket.resume()
  return socket
}

/** A line that is sent (null: nothing, for the greeting) and the code of its reply. */
type Turn = readonly [line: string | null, code: number]

const greeting: Turn = [null, 220]
const hello: Turn = ['EHLO x', 250]
const mail: Turn = ['MAIL FROM:<ann@acme.example>', 250]
const rcpt: Turn = ['RCPT TO:<u@calm.example>', 250]
const data: Turn = ['DATA', 354]

const lastLine = /^(\d{3}) .*\r\n$/m

/** Takes these turns; rejects when a reply is another one or the connection is closed. */
async function take(socket: Socket, turns: readonly Turn[]): Promise<void> {
  let said = ''
  let isOver = socket.destroyed
  let wake = (): void => {}
  const come = (chunk: Buffer): void => {
    said += chunk.toString('latin1')
    wake()
  }
  const end = (): void => {
    isOver = true
    wake()
  }
  socket.on('data', come)
  for (const event of ['end', 'close', 'error']) socket.on(event, end)
  for (const [line, code] of turns) {
    if (line !== null) socket.write(`${line}\r\n`)
    while (!lastLine.test(said) && !isOver)
      await new Promise<void>(resolve => {
        wake = resolve
      })
    const got = Number(lastLine.exec(said)?.[1])
    if (got !== code) throw new Error(`not ${code} to ${line ?? 'a new connection'}: ${said || 'closed'}`)
    said = ''
  }
  socket.off('data', come)
  for (const event of ['end', 'close', 'error']) socket.off(event, end)
}

/** A connection on which the greeting came and these turns were taken. */
async function talked(port: number, localAddress: string, turns: readonly Turn[]): Promise<Socket> {
  const socket = await rawConnection(port, localAddress)
  await take(socket, [greeting, ...turns])
  socket.resume()
  return socket
}

/** A transaction with a recipient, and these further turns. */
async function inTransaction(index: number, ...turns: readonly Turn[]): Promise<Socket> {
  return await talked(siege.house.ports.relay, inside(index), [hello, mail, rcpt, ...turns])
}

async function inLogin(index: number): Promise<Socket> {
  const socket = await rawConnection(siege.house.ports.submissions, manyAddresses(index))
  const secure = tls.connect({ socket, rejectUnauthorized: false })
  secure.on('error', () => undefined)
  await take(secure, [greeting, hello, ['AUTH LOGIN', 334]])
  secure.resume()
  return secure
}

interface Phase {
  readonly name: string
  /** How many of 2,000 are in it. */
  readonly count: number
  readonly enter: (index: number) => Promise<Socket>
  /** What is sent byte by byte from then on ('' sends nothing). */
  readonly drip: string
  readonly deadline: keyof typeof deadlinesMs
}

const clientHello = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'

const phases: readonly Phase[] = [
  {
    name: 'after the greeting, silent',
    count: 400,
    enter: index => talked(siege.house.ports.submission, manyAddresses(index), []),
    drip: '',
    deadline: 'idle',
  },
  {
    name: 'in a command',
    count: 500,
    enter: index => talked(siege.house.ports.submission, manyAddresses(index), []),
    drip: `EHLO ${'x'.repeat(60)}`,
    deadline: 'idle',
  },
  {
    name: 'in the TLS handshake of an implicit port',
    count: 400,
    enter: index => connection(siege.house.ports.submissions, manyAddresses(index)),
    drip: clientHello,
    deadline: 'handshake',
  },
  {
    name: 'in the TLS handshake after STARTTLS',
    count: 200,
    enter: index => talked(siege.house.ports.submission, manyAddresses(index), [hello, ['STARTTLS', 220]]),
    drip: clientHello,
    deadline: 'handshake',
  },
  {
    name: 'in the PROXY header',
    count: 200,
    enter: index => connection(proxied, `127.40.1.${index % 200 || 1}`),
    drip: 'PROXY TCP4 192.0.2.1',
    deadline: 'handshake',
  },
  { name: 'in AUTH', count: 60, enter: inLogin, drip: 'YWJjZGVmZ2hpamtsbW5vcA==', deadline: 'idle' },
  {
    name: 'in DATA',
    count: 120,
    enter: index => inTransaction(index, data),
    drip: 'Subject: a slow one indeed',
    deadline: 'dataIdle',
  },
  {
    name: 'in BDAT',
    count: 120,
    enter: async index => {
      const socket = await inTransaction(index)
      socket.write('BDAT 1000000\r\n')
      return socket
    },
    drip: 'Subject: a slow one indeed',
    deadline: 'dataIdle',
  },
]

/** Sends a text one byte every half second until the other side closes. */
async function dribble(socket: Socket, text: string): Promise<void> {
  const gone = closed(socket)
  for (let at = 0; !socket.destroyed && text !== ''; at++) {
    socket.write(Buffer.from(text[at % text.length]!, 'latin1'))
    await Promise.race([sleep(500), gone])
  }
  await gone
}

/** How long a connection was open, and how long it was known to be in its phase. */
interface Life {
  readonly openMs: number
  readonly inPhaseMs: number
}

async function live({ enter, drip }: Phase, index: number): Promise<Life> {
  const openedMs = performance.now()
  const socket = await enter(index)
  const enteredMs = performance.now()
  await dribble(socket, drip)
  const endMs = performance.now()
  return { openMs: endMs - openedMs, inPhaseMs: endMs - enteredMs }
}

test('clients that drip bytes are closed at the deadline, whatever the phase', {
  timeout: 60_000,
}, async t => {
  const lives = new Map<Phase, readonly Life[]>()
  const attack = async (phase: Phase, number: number): Promise<void> => {
    // Addresses of their own: how many connections one may have is not what is tested here.
    const all = Array.from({ length: 50 }, (_, index) => live(phase, number * 100 + index))
    lives.set(phase, await Promise.all(all))
  }
  await attacked(t, 96, async () => void (await Promise.all(phases.map(attack))), servedMsMax)
  assert.equal(lives.size, phases.length)
  for (const [{ name, deadline }, ended] of lives)
    await t.test(name, child => {
      const deadlineMs = deadlinesMs[deadline]
      const shortest = Math.min(...ended.map(({ openMs }) => openMs))
      const longest = Math.max(...ended.map(({ inPhaseMs }) => inPhaseMs))
      child.diagnostic(`closed after ${Math.round(shortest)} to ${Math.round(longest)} ms`)
      assert.ok(shortest >= deadlineMs - coarseMs, `one was closed after ${shortest} ms already`)
      assert.ok(longest <= deadlineMs + 2 * coarseMs + slackMs, `one was there for ${longest} ms`)
    })
  await settled()
})

test('2,000 at once, dripping in every phase: an ordinary client is served, and all are closed in the end', async t => {
  const failures: unknown[] = []
  await attacked(
    t,
    300,
    async () => {
      const attackers: Promise<unknown>[] = []
      let index = 0
      for (const { count, enter, drip } of phases) {
        for (let left = count; left > 0; left -= 50) {
          const group = Array.from({ length: Math.min(left, 50) }, () =>
            enter(index++).then(
              socket => dribble(socket, drip),
              error => void failures.push(error),
            ),
          )
          attackers.push(...group)
          await sleep(20)
        }
      }
      assert.equal(attackers.length, 2000)
      await Promise.all(attackers)
    },
    servedMsMax,
  )
  // The ordinary client has a place of the 2,000, and some make room on their way.
  assert.ok(failures.length <= 40, `${failures.length} never came to their phase: ${failures[0]}`)
  await settled()
  await siege.waitForDescriptors(calmDescriptors + 20)
})

test('2,000 silent strangers fill all places and keep coming back: each newcomer that logs in finds one', async t => {
  await using crowd = new Crowd(index => [siege.house.ports.submission, manyAddresses(index)])
  await full(siege)
  await attacked(
    t,
    300,
    async () => {
      for (let i = 0; i < 20; i++) await siege.sendOrdinary()
    },
    servedMsMax,
  )
  await crowd.leave()
  await settled()
  await siege.waitForDescriptors(calmDescriptors + 20)
})

test('2,000 silent strangers of as many networks: a newcomer may be told to come back, and finds a place when the first had time to log in', async () => {
  const short = ['[limits]', 'sessions = 2000', 'stranger = "2s"'].join('\n')
  await using wide = await Siege.open({ toml: short })
  const { submission } = wide.house.ports
  await using crowd = new Crowd(index => [submission, `127.${50 + (index >> 8)}.${index & 255}.7`])
  await full(wide)
  for (let i = 0; i < 5; i++) await untilServed(wide)
  await crowd.leave()
})

/** 2,000 connections that say nothing and come back when they are closed. */
class Crowd implements AsyncDisposable {
  #isOver = false
  readonly #sockets = new Set<Socket>()
  readonly #all: Promise<unknown>

  constructor(whence: (index: number) => readonly [port: number, localAddress: string]) {
    this.#all = Promise.all(Array.from({ length: 2000 }, (_, index) => this.#stay(...whence(index))))
  }

  async #stay(port: number, localAddress: string): Promise<void> {
    while (!this.#isOver) {
      const socket = await rawConnection(port, localAddress)
      socket.resume()
      this.#sockets.add(socket)
      if (this.#isOver) socket.destroy()
      await closed(socket)
      this.#sockets.delete(socket)
      await sleep(100)
    }
  }

  async leave(): Promise<void> {
    this.#isOver = true
    for (const socket of this.#sockets) socket.destroy()
    await this.#all
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }
}

/** Waits until no place is free. */
async function full(house: Siege): Promise<void> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const open = await house.metric('postrider_sessions_open')
    // The rest are those that make room for each other.
    if (open >= 1990) return
    if (Date.now() > endMs) throw new Error(`only ${open} of 2,000 places were taken`)
    await sleep(50)
  }
}

/** An ordinary client that is told to come back, or is sent away while it logs in, and comes back. */
async function untilServed(house: Siege): Promise<void> {
  const endMs = Date.now() + 60_000
  for (;;) {
    const failure: unknown = await house.sendOrdinary().then(
      () => null,
      error => error,
    )
    if (failure === null) return
    assert.match(String(failure), /421 4\.3\.2/)
    assert.ok(Date.now() < endMs, `never served: ${failure}`)
    await sleep(100)
  }
}

// ---- connections that break off -----------------------------------------------------------------------------------

/** Where a connection breaks off, in turn; each gives the socket as it is then. */
const breakPoints: readonly ((index: number) => Promise<Socket>)[] = [
  index => connection(siege.house.ports.submission, manyAddresses(index)),
  index => talked(siege.house.ports.relay, inside(index), []),
  index => talked(siege.house.ports.relay, inside(index), [hello]),
  async index => {
    const socket = await inTransaction(index, data)
    socket.write('Subject: half')
    return socket
  },
  async index => {
    const socket = await inTransaction(index)
    socket.write('BDAT 100\r\nhalf')
    return socket
  },
  async index => {
    const socket = await connection(siege.house.ports.submissions, manyAddresses(index))
    socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]))
    return socket
  },
  async index => {
    const socket = await connection(proxied, `127.40.1.${index % 200 || 1}`)
    socket.write('PROXY TCP4')
    return socket
  },
]

async function cycles(from: number, to: number): Promise<void> {
  let index = from
  const worker = async (): Promise<void> => {
    while (index < to) {
      const mine = index++
      const socket = await breakPoints[mine % breakPoints.length]!(mine)
      // A reset and an orderly end in turn; both without waiting for anything.
      if (mine % 2 === 0) socket.resetAndDestroy()
      else socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: 50 }, worker))
}

test('10,000 connections that are reset or closed in every phase leave nothing behind', async t => {
  const accepted = await siege.metric('postrider_messages_accepted_total')
  // The first part grows what grows once: pools, code, the heap up to its working size.
  const first = await siege.during(() => cycles(0, 4000), 96)
  await attacked(t, 48, () => cycles(4000, 10_000))
  await settled()
  await siege.waitForDescriptors(calmDescriptors + 20)
  const now = await siege.metric('postrider_messages_accepted_total')
  const ordinary = siege.receiver.messages.length
  assert.equal(now, ordinary, 'nothing was accepted but the ordinary mail')
  assert.ok(now > accepted)
  t.diagnostic(`the first 4,000: ${describe(first)}`)
})

test('500 clients that close their side at once and read on are answered and closed', async t => {
  await attacked(t, 64, async () => {
    const half = async (index: number): Promise<void> => {
      const socket = await talked(siege.house.ports.submission, manyAddresses(index), [hello])
      socket.end('MAIL FROM:<a@b.example>')
      await closed(socket)
    }
    for (let at = 0; at < 500; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => half(at + index)))
  })
  await settled()
})

// ---- clients that never read --------------------------------------------------------------------------------------

/** Writes commands without end and never looks at an answer; resolves when the server has closed. */
async function deaf(socket: Socket): Promise<void> {
  socket.pause()
  const commands = 'RCPT TO:<u@calm.example>\r\n'.repeat(2000)
  while (!socket.destroyed && socket.writable) {
    if (socket.write(commands)) continue
    await Promise.race([new Promise(done => socket.once('drain', done)), closed(socket)])
  }
}

test('10 clients of a trusted network that send commands and never read a reply are closed soon', async t => {
  await attacked(t, 96, async () => {
    const sockets = await Promise.all(
      Array.from({ length: 10 }, (_, index) => talked(siege.house.ports.relay, inside(index), [hello, mail])),
    )
    const startMs = performance.now()
    await Promise.all(sockets.map(deaf))
    const tookMs = performance.now() - startMs
    // They must have filled their connections first.
    assert.ok(tookMs >= unreadMs - coarseMs && tookMs <= unreadMs + 5 * coarseMs + slackMs, `${tookMs} ms`)
  })
  await settled()
})

// ---- TLS ----------------------------------------------------------------------------------------------------------

test('1,000 handshakes that are broken off, garbage or of old versions leave nothing behind', async t => {
  await attacked(t, 96, async () => {
    let index = 0
    const worker = async (): Promise<void> => {
      while (index < 1000) {
        const mine = index++
        const socket = await connection(siege.house.ports.submissions, manyAddresses(mine % 400))
        if (mine % 4 === 0) {
          socket.write(Buffer.alloc(2000, 0xff))
          await closed(socket)
        } else if (mine % 4 === 1) {
          const old = tls.connect({
            socket,
            rejectUnauthorized: false,
            maxVersion: 'TLSv1.1',
            minVersion: 'TLSv1',
          })
          old.on('error', () => undefined)
          await closed(socket)
        } else {
          const secure = tls.connect({ socket, rejectUnauthorized: false })
          secure.on('error', () => undefined)
          if (mine % 4 === 2)
            await Promise.race([new Promise(done => secure.once('secureConnect', done)), closed(socket)])
          socket.resetAndDestroy()
        }
      }
    }
    await Promise.all(Array.from({ length: 20 }, worker))
  })
  await settled()
})

test('a client that asks to negotiate TLS again is told no', { timeout: 60_000 }, async () => {
  const { submissions } = siege.house.ports
  const address = ['-connect', `127.0.0.1:${submissions}`, '-tls1_2']
  const openssl = spawn('openssl', ['s_client', ...address], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [openssl.stdout, openssl.stderr])
    stream.on('data', chunk => {
      said += String(chunk)
      if (/220 relay\.example/.test(said) && !said.includes('RENEGOTIATING')) openssl.stdin.write('R\n')
    })
  await once(openssl, 'close')
  assert.match(said, /RENEGOTIATING[\s\S]*no renegotiation/)
})
