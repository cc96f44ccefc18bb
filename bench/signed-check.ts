/**
 * Before a signed load counts: does the server really sign? One message goes through it into a recorder, and
 * must come out with a signature of every algorithm the server says it uses.
 */
import { Recorder, runSmtpSource, Scratch } from '../test/support/peers/index.ts'
import type { Peer } from './peers/index.ts'

export async function checkSigned(peer: Peer, parent: string): Promise<void> {
  await using scratch = await Scratch.create(`bench-${peer.name}`, parent)
  await using recorder = await Recorder.start()
  const server = await peer.start({
    sinkPort: recorder.port,
    isSigned: true,
    secure: null,
    isKept: true,
    directory: scratch.path,
  })
  try {
    const sent = await runSmtpSource({ port: server.smtpPort, messages: 1, timeoutMs: 30_000 })
    if (sent.exit !== 0) throw new Error(`smtp-source ended with ${sent.exit}: ${sent.stderr}`)
    const [mail] = await recorder.waitFor(1)
    const content = `${mail?.trace.toString('latin1')}${mail?.bytes.toString('latin1')}`
    const header = content.slice(0, content.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]/g, ' ')
    const fields = header.split('\r\n').filter(field => /^dkim-signature:/i.test(field))
    const missing = peer.signs.filter(algorithm => !fields.some(field => field.includes(`a=${algorithm};`)))
    if (missing.length > 0)
      throw new Error(`its mail carries no signature with ${missing.join(', ')}:\n${header}`)
  } finally {
    await server.stop()
  }
}
