// One exchange over TCP: however the octets of the answer come.

import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { encode } from 'dns-packet'
import { machinePorts } from './index.ts'
import { askByTcp } from './transport.ts'

const signal = new AbortController().signal

function framedAnswer(records: number): Buffer {
  const answers = Array.from({ length: records }, (_, i) => ({
    type: 'A' as const,
    name: 'example.test',
    ttl: 60,
    data: `192.0.${i >> 8}.${i & 255}`,
  }))
  const questions = [{ type: 'A' as const, name: 'example.test' }]
  const message = encode({ type: 'response', id: 7, questions, answers })
  const framed = Buffer.alloc(2 + message.length)
  framed.writeUInt16BE(message.length)
  message.copy(framed, 2)
  return framed
}

/** Asks a server that sends these chunks; how many records came, and the time of the processor in milliseconds. */
async function exchange(chunks: readonly Buffer[]): Promise<{ records: number; cpuMs: number }> {
  const socket = new Socket()
  const asked = askByTcp({
    ports: { ...machinePorts, openTcp: () => socket },
    address: '192.0.2.1',
    port: 53,
    question: { id: 7, name: 'example.test', type: 'A' },
    flags: { hasEdns: true, isDnssecAsked: false },
    timeoutMs: 600_000,
    mustKeepCase: true,
    signal,
  })
  const from = process.cpuUsage()
  for (const chunk of chunks) socket.emit('data', chunk)
  const { user, system } = process.cpuUsage(from)
  const result = await asked
  assert.ok(result.kind === 'reply')
  return { records: result.reply.answers.length, cpuMs: (user + system) / 1000 }
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
  return chunks
}

test('an answer is read however it is cut, with bytes behind it too', async () => {
  const framed = framedAnswer(20)
  for (const size of [1, 2, 3, 100, framed.length]) {
    assert.equal((await exchange(cut(framed, size))).records, 20, `${size} octets each`)
  }
  assert.equal((await exchange([Buffer.concat([framed, framed])])).records, 20)
})

test('an answer of 50 KiB that comes octet by octet costs little', async () => {
  const { records, cpuMs } = await exchange(cut(framedAnswer(1_800), 1))
  assert.equal(records, 1_800)
  assert.ok(cpuMs < 200, `${cpuMs} ms`)
})
