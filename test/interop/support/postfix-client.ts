// Postfix as a client that hands everything to Postrider, set up as docs/start/send-from/postfix.md says.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SmtpClient } from '../../scenario/support/client.ts'
import { freePort, startPostfix } from '../../support/peers/index.ts'
import type { Job, Sent } from './client-programs.ts'

/** Starts a Postfix, hands it message.eml, and waits until its log says what became of every recipient. */
export async function sendByPostfix(job: Job): Promise<Sent> {
  const { folder, page, from, to } = job
  const directory = join(folder, 'postfix')
  const passwords = join(folder, 'sasl_password')
  const logFile = join(folder, 'maillog')
  await mkdir(directory)
  await writeFile(passwords, page.files.get('sasl_password') ?? '', { mode: 0o600 })
  const configuration = (page.files.get('main.cf') ?? '').replace('/etc/postfix/sasl_password', passwords)
  const port = await freePort()
  await using _program = await startPostfix({
    directory,
    address: '127.0.0.1',
    port,
    mainCf: [
      `maillog_file = ${logFile}`,
      `maillog_file_prefixes = ${folder}`,
      'myhostname = client.example.com',
      'mydestination =',
      'alias_maps =',
      'smtpd_peername_lookup = no',
      'mynetworks = 127.0.0.0/8',
      'inet_protocols = ipv4',
      'smtp_host_lookup = native',
      'message_size_limit = 0',
      'in_flow_delay = 0',
      // Only for the comparison of bytes: what passes through Postfix is otherwise left as it is, too.
      'local_header_rewrite_clients =',
      ...configuration.trimEnd().split('\n'),
    ],
  })
  await using client = await SmtpClient.connect(port)
  await client.hello()
  const content = (await readFile(join(folder, 'message.eml'), 'latin1')).trimEnd().replaceAll('\n', '\r\n')
  const stuffed = Buffer.from(content.replaceAll(/^\./gm, '..'), 'latin1')
  const reply = await client.send(from, to, stuffed, { mail: ' BODY=8BITMIME' })
  if (reply.code !== 250) return { isTaken: false, said: reply.text }
  for (const endMs = Date.now() + 60_000; ; await sleep(50)) {
    const said = await readFile(logFile, 'utf8')
    const told = [...said.matchAll(/ to=<([^>]+)>.* status=(\w+)/g)]
    const statuses = to.map(one => told.find(([, path]) => path === one)?.[2])
    if (!statuses.includes(undefined) || Date.now() > endMs)
      return { isTaken: statuses.every(status => status === 'sent'), said }
  }
}
