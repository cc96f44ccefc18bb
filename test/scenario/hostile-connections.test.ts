// Situation: thousands of connections that break off in every phase, by RST, by FIN or in a TLS handshake, and clients
// that never read (the row "half-open, RST, FIN" of the resource-exhaustion table).
//
// An ordinary client is served meanwhile, everything is closed in the end, and neither descriptors nor memory stay behind.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import tls from 'node:tls'
import {
  coarseMs,
  connection,
  data,
  HostileClients,
  hello,
  inside,
  mail,
  rcpt,
  slackMs,
  take,
  talked,
  unreadMs,
} from './support/hostile-clients.ts'
import { closed, describe, manyAddresses } from './support/siege.ts'

let clients: HostileClients
before(async () => {
  clients = await HostileClients.open()
})
after(() => clients[Symbol.asyncDispose]())

// ---- connections that break off -----------------------------------------------------------------------------------

/** Where a connection breaks off, in turn; each gives the socket as it is then. */
const breakPoints: readonly ((index: number) => Promise<Socket>)[] = [
  index => connection(clients.ports.submission, manyAddresses(index)),
  index => talked(clients.ports.relay, inside(index), []),
  index => talked(clients.ports.relay, inside(index), [hello]),
  async index => {
    const socket = await clients.inTransaction(index, data)
    socket.write('Subject: half')
    return socket
  },
  async index => {
    const socket = await clients.inTransaction(index)
    socket.write('BDAT 100\r\nhalf')
    return socket
  },
  async index => {
    const socket = await connection(clients.ports.submissions, manyAddresses(index))
    socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0]))
    return socket
  },
  async index => {
    const socket = await connection(clients.proxiedPort, `127.40.1.${index % 200 || 1}`)
    socket.write('PROXY TCP4')
    return socket
  },
]

/** More than a content in the database has: it goes to a file while it comes. */
const halfContent = `Subject: half\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(300)}`

/**
 * Those where a session owns most, for one connection in ten: TLS, a login, a transaction and what came of its content.
 * Gives the connection below the TLS.
 */
const loggedInBreakPoints: readonly ((index: number) => Promise<Socket>)[] = [
  async index => {
    const { socket, secure } = await clients.loggedIn(index, mail, rcpt, data)
    secure.write(halfContent)
    return socket
  },
  async index => {
    const { socket, secure } = await clients.loggedIn(index, mail, rcpt)
    secure.write(`BDAT 100000\r\n${halfContent}`)
    return socket
  },
  async index => {
    const { socket, secure } = await clients.loggedIn(index, mail, rcpt)
    // `take` writes the last line end.
    await take(secure, [[`BDAT ${halfContent.length}\r\n${halfContent.slice(0, -2)}`, 250]])
    return socket
  },
]

async function cycles(from: number, to: number): Promise<void> {
  let index = from
  const worker = async (): Promise<void> => {
    while (index < to) {
      const mine = index++
      const tens = Math.floor(mine / 10)
      const points = mine % 10 === 9 ? loggedInBreakPoints : breakPoints
      const socket = await points[(mine % 10 === 9 ? tens : mine) % points.length]!(mine)
      // A reset and an orderly end in turn, of each kind; both without waiting for anything.
      if ((mine + tens) % 2 === 0) socket.resetAndDestroy()
      else socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: 50 }, worker))
}

test('10,000 connections that are reset or closed in every phase leave nothing behind', async t => {
  const accepted = await clients.siege.metric('postrider_messages_accepted_total')
  // The first part grows what grows once: pools, code, the heap up to its working size.
  const first = await clients.siege.during(() => cycles(0, 4000), 96)
  await clients.attacked(t, 48, () => cycles(4000, 10_000))
  await clients.gone()
  const now = await clients.siege.metric('postrider_messages_accepted_total')
  const ordinary = clients.siege.receiver.messages.length
  assert.equal(now, ordinary, 'nothing was accepted but the ordinary mail')
  assert.ok(now > accepted)
  t.diagnostic(`the first 4,000: ${describe(first)}`)
})

test('500 clients that close their side at once and read on are answered and closed', async t => {
  await clients.attacked(t, 64, async () => {
    const half = async (index: number): Promise<void> => {
      const socket = await talked(clients.ports.submission, manyAddresses(index), [hello])
      socket.end('MAIL FROM:<a@b.example>')
      await closed(socket)
    }
    for (let at = 0; at < 500; at += 100)
      await Promise.all(Array.from({ length: 100 }, (_, index) => half(at + index)))
  })
  await clients.settled()
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
  await clients.attacked(t, 96, async () => {
    const sockets = await Promise.all(
      Array.from({ length: 10 }, (_, index) => talked(clients.ports.relay, inside(index), [hello, mail])),
    )
    const startMs = performance.now()
    await Promise.all(sockets.map(deaf))
    const tookMs = performance.now() - startMs
    // They must have filled their connections first.
    assert.ok(tookMs >= unreadMs - coarseMs && tookMs <= unreadMs + 5 * coarseMs + slackMs, `${tookMs} ms`)
  })
  await clients.settled()
})

// ---- TLS ----------------------------------------------------------------------------------------------------------

test('1,000 handshakes that are broken off, garbage or of old versions leave nothing behind', async t => {
  await clients.attacked(t, 96, async () => {
    let index = 0
    const worker = async (): Promise<void> => {
      while (index < 1000) {
        const mine = index++
        const socket = await connection(clients.ports.submissions, manyAddresses(mine % 400))
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
  await clients.settled()
})

test('a client that asks to negotiate TLS again is told no', { timeout: 60_000 }, async () => {
  const { submissions } = clients.ports
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
