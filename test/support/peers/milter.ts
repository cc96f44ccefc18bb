/**
 * A milter that knows only recipients: how sendmail asks a policy.
 *
 * A packet is its length in four octets, a command of one letter and data; what sendmail does not want to know about
 * content is switched off when both agree on the protocol. Each command but macros and aborts is answered.
 */
import type { Socket } from 'node:net'
import { type Loopback, listenOnLoopback } from './loopback.ts'
import { pathOf, type RcptPolicy, replyOf } from './rcpt-policy.ts'

const version = 6
/** No body, no header fields, no end of header, no unknown commands, no DATA. */
const leftOut = 0x10 | 0x20 | 0x40 | 0x100 | 0x200

/** Start a milter on loopback. */
export function startMilter(policy: RcptPolicy): Promise<Loopback> {
  return listenOnLoopback(socket => void converse(socket, policy).catch(() => socket.destroy()))
}

async function converse(socket: Socket, policy: RcptPolicy): Promise<void> {
  let [clientAddress, helo, from] = ['', '', '']
  let pending: Buffer = Buffer.alloc(0)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const end = 4 + pending.readUInt32BE(0)
      const command = pending.toString('latin1', 4, 5)
      const data = pending.subarray(5, end)
      pending = pending.subarray(end)
      const [first = ''] = data.toString('utf8').split('\0')
      if (command === 'Q') return void socket.end()
      if (command === 'O') {
        socket.write(packet('O', numbers(version, 0, leftOut & data.readUInt32BE(8))))
        continue
      }
      // Behind the client's name and its NUL: the family, two octets of port, the address and a NUL.
      if (command === 'C') clientAddress = data.toString('latin1', data.indexOf(0) + 4, data.length - 1)
      if (command === 'H') helo = first
      if (command === 'M') from = pathOf(first)
      const refusal =
        command === 'R' ? await policy({ clientAddress, helo, from, to: pathOf(first) }) : undefined
      // To sendmail a percent sign begins a macro.
      if (refusal !== undefined)
        socket.write(packet('y', Buffer.from(`${replyOf(refusal).replaceAll('%', '%%')}\0`)))
      else if (!'DAK'.includes(command)) socket.write(packet('c'))
    }
  }
}

function packet(command: string, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([numbers(1 + data.length), Buffer.from(command), data])
}

function numbers(...all: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * all.length)
  for (const [index, one] of all.entries()) bytes.writeUInt32BE(one, 4 * index)
  return bytes
}
