/**
 * A filter that knows only recipients: how OpenSMTPD asks a policy.
 *
 * OpenSMTPD runs filters itself and speaks with them over standard input and output, a line a message, fields between
 * bars. Here it runs a few lines of shell that pass the lines on to the test's process, where the answers are made.
 */
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type Loopback, listenOnLoopback } from './loopback.ts'
import { pathOf, type RcptPolicy, replyOf } from './rcpt-policy.ts'

/** What it wants to know of each session, and what it wants to be asked. */
const registration = [
  'register|report|smtp-in|link-connect',
  'register|report|smtp-in|link-disconnect',
  'register|report|smtp-in|link-identify',
  'register|filter|smtp-in|mail-from',
  'register|filter|smtp-in|rcpt-to',
  'register|ready',
]

/** Start the part of the filter that answers. */
export function startOpenSmtpdFilter(policy: RcptPolicy): Promise<Loopback> {
  return listenOnLoopback(socket => converse(socket, policy))
}

/** The program for OpenSMTPD to run. */
export function filterProgram(port: number): string {
  return `#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/${port} || exit 1
while IFS= read -r line; do printf '%s\\n' "$line"; done <&3 &
while IFS= read -r line; do printf '%s\\n' "$line"; done >&3
`
}

function converse(socket: Socket, policy: RcptPolicy): void {
  const sessions = new Map<string, { readonly clientAddress: string; helo: string; from: string }>()
  const say = (line: string): void => void socket.write(`${line}\n`)
  createInterface({ input: socket }).on('line', async line => {
    if (line === 'config|ready') return registration.forEach(say)
    const [kind, , , , phase, id = '', ...words] = line.split('|')
    // The client's address comes behind two names, its port behind it.
    if (phase === 'link-connect')
      sessions.set(id, { clientAddress: words[2]?.replace(/:\d+$/, '') ?? '', helo: '', from: '' })
    if (phase === 'link-disconnect') sessions.delete(id)
    const session = sessions.get(id)
    if (session === undefined) return
    if (phase === 'link-identify') session.helo = words.at(-1) ?? ''
    if (kind !== 'filter') return
    const path = pathOf(words.slice(1).join('|'))
    if (phase === 'mail-from') session.from = path
    const refusal = phase === 'rcpt-to' ? await policy({ ...session, to: path }) : undefined
    const verdict = refusal === undefined ? 'proceed' : `reject|${replyOf(refusal)}`
    say(`filter-result|${id}|${words[0]}|${verdict}`)
  })
}
