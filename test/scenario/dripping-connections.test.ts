// Situation: clients that send a byte now and then, in every phase of a session (the row "slowloris" of the
// resource-exhaustion table), a few and thousands at once.
//
// Each is closed at the deadline of its phase, which configuration makes short, and an
// ordinary client is served meanwhile.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import {
  coarseMs,
  connection,
  data,
  deadlinesMs,
  greeting,
  HostileClients,
  hello,
  servedMsMax,
  slackMs,
  take,
  talked,
} from './support/hostile-clients.ts'
import { closed, manyAddresses, rawConnection } from './support/siege.ts'

let clients: HostileClients
before(async () => {
  clients = await HostileClients.open()
})
after(() => clients[Symbol.asyncDispose]())

async function inLogin(index: number): Promise<Socket> {
  const socket = await rawConnection(clients.ports.submissions, manyAddresses(index))
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
  /** It may be cut off before: as one that speaks before it was greeted. */
  readonly isImpatient?: true
}

/** How long the server waits for a client to see its end: `lingerMs` of the SMTP server. */
const lingerMs = 5000

const clientHello = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'

const phases: readonly Phase[] = [
  {
    name: 'in the greeting, which it does not read',
    count: 100,
    enter: index => rawConnection(clients.ports.submission, manyAddresses(index)),
    drip: `EHLO ${'x'.repeat(60)}`,
    deadline: 'idle',
    isImpatient: true,
  },
  {
    name: 'after the greeting, silent',
    count: 300,
    enter: index => talked(clients.ports.submission, manyAddresses(index), []),
    drip: '',
    deadline: 'idle',
  },
  {
    name: 'in a command',
    count: 500,
    enter: index => talked(clients.ports.submission, manyAddresses(index), []),
    drip: `EHLO ${'x'.repeat(60)}`,
    deadline: 'idle',
  },
  {
    name: 'in the TLS handshake of an implicit port',
    count: 400,
    enter: index => connection(clients.ports.submissions, manyAddresses(index)),
    drip: clientHello,
    deadline: 'handshake',
  },
  {
    name: 'in the TLS handshake after STARTTLS',
    count: 200,
    enter: index => talked(clients.ports.submission, manyAddresses(index), [hello, ['STARTTLS', 220]]),
    drip: clientHello,
    deadline: 'handshake',
  },
  {
    name: 'in the PROXY header',
    count: 200,
    enter: index => connection(clients.proxiedPort, `127.40.1.${index % 200 || 1}`),
    drip: 'PROXY TCP4 192.0.2.1',
    deadline: 'handshake',
  },
  { name: 'in AUTH', count: 60, enter: inLogin, drip: 'YWJjZGVmZ2hpamtsbW5vcA==', deadline: 'idle' },
  {
    name: 'in DATA',
    count: 120,
    enter: index => clients.inTransaction(index, data),
    drip: 'Subject: a slow one indeed',
    deadline: 'dataIdle',
  },
  {
    name: 'in BDAT',
    count: 120,
    enter: async index => {
      const socket = await clients.inTransaction(index)
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
  await clients.attacked(t, 96, async () => void (await Promise.all(phases.map(attack))), servedMsMax)
  assert.equal(lives.size, phases.length)
  for (const [{ name, deadline, isImpatient }, ended] of lives)
    await t.test(name, child => {
      const deadlineMs = deadlinesMs[deadline]
      const shortest = Math.min(...ended.map(({ openMs }) => openMs))
      const longest = Math.max(...ended.map(({ inPhaseMs }) => inPhaseMs))
      child.diagnostic(`closed after ${Math.round(shortest)} to ${Math.round(longest)} ms`)
      if (isImpatient !== true)
        assert.ok(shortest >= deadlineMs - coarseMs, `one was closed after ${shortest} ms already`)
      // Who does not read does not see our end either, and is waited for.
      const endMs = deadlineMs + (isImpatient === true ? lingerMs : 0)
      assert.ok(longest <= endMs + 2 * coarseMs + slackMs, `one was there for ${longest} ms`)
    })
  await clients.settled()
})

test('2,000 at once, dripping in every phase: an ordinary client is served, and all are closed in the end', async t => {
  const failures: unknown[] = []
  await clients.attacked(
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
  await clients.gone()
})
