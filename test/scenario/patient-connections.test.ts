// Situation: clients that stay inside of every deadline of a step: NOOP or RCPT now and then, a content that comes twice as
// fast as the slowest that is allowed (the row "slowloris" of the resource-exhaustion table).
//
// What ends them is the time of a session: between messages when it is over, inside of one when it is over twice. An
// ordinary client is served meanwhile.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  coarseMs,
  data,
  HostileClients,
  hello,
  servedMsMax,
  slackMs,
  talked,
} from './support/hostile-clients.ts'
import { closed, manyAddresses } from './support/siege.ts'

const sessionMs = 12_000
let clients: HostileClients
before(async () => {
  clients = await HostileClients.open(`session = "${sessionMs}ms"`)
})
after(() => clients[Symbol.asyncDispose]())

interface Kind {
  readonly name: string
  /** How many there are: fewer than places, of which those in a transaction keep theirs. */
  readonly count: number
  readonly enter: (index: number) => Promise<Socket>
  /** For each client anew: what is said after so many milliseconds in the phase, every second. */
  readonly say: () => (forMs: number) => string
  /** Its session ends after so long. */
  readonly endMs: number
}

const everyMs = 1000
const octetsPerSecond = 1000

/** What is owed by then, in lines, so that a machine that was busy for a while makes nobody slow. */
function upload(): (forMs: number) => string {
  let sent = 0
  return forMs => {
    const lines = Math.max(0, Math.ceil((((forMs + everyMs) / 1000) * octetsPerSecond - sent) / 60))
    sent += lines * 60
    return `${'x'.repeat(58)}\r\n`.repeat(lines)
  }
}

const noop = () => (): string => 'NOOP\r\n'

const kinds: readonly Kind[] = [
  {
    name: 'NOOP after the greeting',
    count: 500,
    enter: index => talked(clients.ports.submission, manyAddresses(index), [hello]),
    say: noop,
    endMs: sessionMs,
  },
  {
    name: 'NOOP behind TLS and a login',
    count: 200,
    enter: async index => (await clients.loggedIn(index)).secure,
    say: noop,
    endMs: sessionMs,
  },
  {
    name: 'another recipient',
    count: 400,
    enter: index => clients.inTransaction(index),
    say: () => () => 'RCPT TO:<u@calm.example>\r\n',
    endMs: 2 * sessionMs,
  },
  {
    name: '1,000 octets a second in DATA',
    count: 400,
    enter: index => clients.inTransaction(index, data),
    say: upload,
    endMs: 2 * sessionMs,
  },
  {
    name: '1,000 octets a second in BDAT',
    count: 300,
    enter: async index => {
      const socket = await clients.inTransaction(index)
      socket.write('BDAT 1000000\r\n')
      return socket
    },
    say: upload,
    endMs: 2 * sessionMs,
  },
]

/** How long a connection was open, and how long it was known to be in its phase. */
interface Life {
  readonly openMs: number
  readonly inPhaseMs: number
}

/** Says its words at its pace until the server closes. */
async function live({ enter, say: begin }: Kind, index: number): Promise<Life> {
  const openedMs = performance.now()
  const socket = await enter(index)
  const enteredMs = performance.now()
  const gone = closed(socket)
  const say = begin()
  while (!socket.destroyed) {
    socket.write(say(performance.now() - enteredMs))
    await Promise.race([sleep(everyMs), gone])
  }
  await gone
  const endMs = performance.now()
  return { openMs: endMs - openedMs, inPhaseMs: endMs - enteredMs }
}

test('1,800 clients inside of every deadline of a step are closed when the time of a session is over, and an ordinary client is served', {
  timeout: 300_000,
}, async t => {
  const lives = new Map<Kind, Life[]>()
  await clients.attacked(
    t,
    300,
    async () => {
      const all: Promise<unknown>[] = []
      let index = 0
      for (const kind of kinds) {
        const ended: Life[] = []
        lives.set(kind, ended)
        for (let left = kind.count; left > 0; left -= 50) {
          for (let one = Math.min(left, 50); one > 0; one--)
            all.push(live(kind, index++).then(life => void ended.push(life)))
          await sleep(20)
        }
      }
      await Promise.all(all)
    },
    servedMsMax,
  )
  for (const [{ name, count, endMs }, ended] of lives)
    await t.test(name, child => {
      assert.equal(ended.length, count)
      const shortest = Math.min(...ended.map(({ openMs }) => openMs))
      const longest = Math.max(...ended.map(({ inPhaseMs }) => inPhaseMs))
      child.diagnostic(`closed after ${Math.round(shortest)} to ${Math.round(longest)} ms`)
      assert.ok(shortest >= endMs - coarseMs, `one was closed after ${shortest} ms already`)
      assert.ok(longest <= endMs + 2 * coarseMs + slackMs, `one was there for ${longest} ms`)
    })
  await clients.gone()
})
