// For the tests of this folder: raw clients and our own client session towards hosts of a lab.

import assert from 'node:assert/strict'
import net from 'node:net'
import {
  type ConnectOptions,
  type ConnectResult,
  connectSmtp,
  type SmtpClientSession,
} from '../protocol/smtp/index.ts'
import { TestClient } from '../protocol/smtp/server/test-kit.ts'
import type { Lab } from './index.ts'

export { codes, type TestClient } from '../protocol/smtp/server/test-kit.ts'

/** Address of the first ordinary host. */
export const mx1 = '127.77.0.1'

/** A connection to a host on which nothing was read yet. */
export function dial(lab: Lab, address: string = mx1): TestClient {
  return new TestClient(net.connect(lab.mxPort, address))
}

/** A connection with an open transaction. */
export async function inTransaction(
  lab: Lab,
  { address = mx1, mail = 'MAIL FROM:<a@sender.test>' }: { address?: string; mail?: string } = {},
): Promise<TestClient> {
  const client = dial(lab, address)
  await client.reply()
  await client.talk('EHLO client.test')
  assert.match(await client.talk(mail), /^250 /)
  return client
}

/** Sends a whole message to one recipient; the replies to RCPT, DATA and content as far as they came. */
export async function deliver(lab: Lab, forwardPath: string, address: string = mx1): Promise<string[]> {
  const client = await inTransaction(lab, { address })
  const replies: string[] = []
  for (const text of [`RCPT TO:<${forwardPath}>\r\n`, 'DATA\r\n', 'Subject: hi\r\n\r\nbody\r\n.\r\n']) {
    client.send(text)
    const reply = await client.replyOrNull()
    if (reply === null) {
      replies.push('cut')
      break
    }
    replies.push(reply.slice(0, 3))
    if (!/^[23]/.test(reply)) break
  }
  client.destroy()
  return replies
}

/** Connects our own client. */
export async function connect(
  lab: Lab,
  address: string,
  changes: Partial<ConnectOptions> = {},
): Promise<ConnectResult> {
  return await connectSmtp({
    address,
    port: lab.mxPort,
    heloName: 'client.test',
    tls: { mode: 'none', servername: 'mx1.lab.test', verify: false },
    ticker: new Set(),
    ...changes,
  })
}

/** The same, when it must work. */
export async function session(
  lab: Lab,
  address: string = mx1,
  changes: Partial<ConnectOptions> = {},
): Promise<SmtpClientSession> {
  const connected = await connect(lab, address, changes)
  assert.ok(connected.ok, JSON.stringify(connected))
  return connected.session
}
