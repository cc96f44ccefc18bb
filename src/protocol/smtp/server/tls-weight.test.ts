// What an idle TLS session takes of memory: address space, of which all becomes resident once sessions have come and gone
// a few times (docs/decisions/0034-tls-is-given-its-first-bytes.md). Counted in a process of its own.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import tls from 'node:tls'

const sessions = 400
const kibMax = 70

const server = `
const { makeSecureContext, TestServer } = await import(process.argv[1])
const context = makeSecureContext()
const server = await TestServer.start({ tls: { mode: 'implicit', secureContext: () => context } })
process.send(server.port)
process.on('disconnect', () => process.exit())
`

/** Memory that may be written, KiB. */
function dataKib(processId: number): number {
  return Number(/^VmData:\s+(\d+) kB/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))![1])
}

const skip = existsSync('/proc/self/status') ? false : 'this machine has no /proc'

test(`an idle TLS session takes less than ${kibMax} KiB of address space`, { skip }, async t => {
  const kit = new URL('./test-kit.ts', import.meta.url).href
  const args = ['--max-semi-space-size=1', '--input-type=module', '--eval', server, kit]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const sockets: tls.TLSSocket[] = []
  try {
    const [port] = (await once(child, 'message')) as [number]
    const open = async (): Promise<void> => {
      const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
      sockets.push(socket)
      await once(socket, 'secureConnect')
      const [greeting] = (await once(socket, 'data')) as [Buffer]
      assert.match(greeting.toString(), /^220 /)
    }
    // The first ones fill pools that the others share.
    for (let i = 0; i < 20; i++) await open()
    const beforeKib = dataKib(child.pid!)
    for (let i = 0; i < sessions; i++) await open()
    const kib = (dataKib(child.pid!) - beforeKib) / sessions
    t.diagnostic(`${kib.toFixed(1)} KiB a session`)
    assert.ok(kib < kibMax, `${kib.toFixed(1)} KiB a session`)
  } finally {
    for (const socket of sockets) socket.destroy()
    child.kill('SIGKILL')
  }
})
