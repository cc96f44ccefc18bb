// Shortcuts for tests that talk to a scripted peer. For tests only.

import assert from 'node:assert/strict'
import type { SmtpReply } from '../../reply.ts'
import { connectSmtp } from '../connect.ts'
import type { ConnectFailure, ConnectResult } from '../connect-result.ts'
import type { ConnectOptions } from '../options.ts'
import type { SmtpClientSession } from '../session.ts'
import type { SmtpTransaction, TransactionResult } from '../transaction-types.ts'
import { ManualTicker, type PeerConnection, startPeer } from './scripted-peer.ts'

/** Options for a clear connection to a peer on loopback. */
export function options(port: number, changes: Partial<ConnectOptions> = {}): ConnectOptions {
  return {
    address: '127.0.0.1',
    port,
    heloName: 'client.test',
    tls: { mode: 'none', servername: 'peer.test', verify: false },
    ticker: new ManualTicker(),
    ...changes,
  }
}

export async function session(
  port: number,
  changes: Partial<ConnectOptions> = {},
): Promise<SmtpClientSession> {
  const result = await connectSmtp(options(port, changes))
  assert.ok(result.ok, JSON.stringify(result))
  return result.session
}

export async function failure(result: Promise<ConnectResult>): Promise<ConnectFailure> {
  const settled = await result
  assert.ok(!settled.ok, 'connecting should have failed')
  return settled.failure
}

/** Runs a script against one connection attempt and returns how it failed. */
export async function failed(
  script: (peer: PeerConnection) => Promise<void> | void,
  changes: Partial<ConnectOptions> = {},
): Promise<ConnectFailure> {
  const ticker = new ManualTicker()
  await using peer = await startPeer(script)
  const result = await failure(connectSmtp(options(peer.port, { ticker, ...changes })))
  assert.equal(ticker.size, 0, 'nothing is ticked after a failure')
  return result
}

export const requiredTls: ConnectOptions['tls'] = { mode: 'required', servername: 'peer.test', verify: false }

/** The peer's side of greeting and EHLO; `keywords` are what it offers. */
export async function welcome(peer: PeerConnection, keywords: readonly string[] = []): Promise<void> {
  peer.send('220 peer.test ESMTP\r\n')
  await peer.line('EHLO client.test')
  const lines = ['peer.test', ...keywords]
  peer.send(lines.map((line, index) => `250${index === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join(''))
}

/** A transaction to the recipients named. */
export function message(
  forwardPaths: readonly string[] = ['to@b.test'],
  changes: Partial<SmtpTransaction> = {},
): SmtpTransaction {
  return {
    reversePath: 'from@a.test',
    recipients: forwardPaths.map(forwardPath => ({ forwardPath })),
    parameters: { isEightBit: false, isSmtpUtf8: false },
    content: { parts: [Buffer.from('Subject: hi\r\n\r\n.dot\r\n')] },
    ...changes,
  }
}

/** `stage code accepted|refused|uncertain` of each recipient: short to compare. */
export function summary(result: TransactionResult): string[] {
  return result.recipients.map(({ stage, reply, isAccepted, isUncertain }) => {
    const words = [stage, reply === null ? 'none' : String(reply.code)]
    if (isAccepted) words.push('accepted')
    if (isUncertain) words.push('uncertain')
    return words.join(' ')
  })
}

export function text(reply: SmtpReply | null | undefined): string {
  return reply === null || reply === undefined
    ? ''
    : `${reply.code} ${reply.enhanced} ${reply.lines.join('|')}`
}

/** Waits until the session has read all replies before `stage`. */
export async function inStage(smtp: SmtpClientSession, stage: string): Promise<void> {
  while (smtp.stage !== stage && smtp.end === null) await new Promise(resolve => setImmediate(resolve))
}

/** Moves the clock until the promise settles; fails when no deadline fires within a simulated day. */
export async function afterDeadline<T>(ticker: ManualTicker, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const settled = promise.finally(() => {
    isSettled = true
  })
  for (let seconds = 0; seconds < 86_400 && !isSettled; seconds += 60) {
    ticker.advance(60_000)
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(isSettled, 'no deadline fired')
  return settled
}
