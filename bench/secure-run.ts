/**
 * One load run with TLS on both sides and AUTH: our generator and our sink, in processes of their own, the same for every
 * server. ECDSA P-256 certificates, session resumption on every side.
 *
 * Plan: as load-run.ts: fresh sink and server, a warm-up until all is at the sink, then N messages, timed from the first
 * to the last accepting reply and to the last arrival. Then each message must have come, and handshakes must have been
 * resumed on both sides: a server that makes full ones is not compared like with like.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { makeCertificate, makeCertificateAuthority, Scratch } from '../test/support/peers/index.ts'
import { type LoadResult, stuckMs } from './load-run.ts'
import type { Peer } from './peers/index.ts'
import { cpuSeconds, watchMemory } from './process-tree.ts'
import { whyUnfair } from './resumption.ts'
import { type LoadScenario, sessions } from './scenarios.ts'
import { bookOf, eachCameOnce, makeSinkPem, startGenerator, startSinkProcess } from './traffic/index.ts'
import { warmUp, warmUpMessagesMax } from './warm-up.ts'

export async function runSecureLoad(
  peer: Peer,
  scenario: LoadScenario,
  options: { readonly messages: number; readonly parent: string },
): Promise<LoadResult> {
  await using certificates = await Scratch.create('bench-tls', options.parent)
  await using scratch = await Scratch.create(`bench-${peer.name}`, options.parent)
  await using sink = startSinkProcess()
  await using generator = startGenerator()
  const pem = await makeSinkPem(certificates.path)
  const sinkPort = await sink.call('start', {
    addresses: ['127.0.0.1'],
    ...pem,
    tracked: warmUpMessagesMax + options.messages,
  })
  const ca = await makeCertificateAuthority({ directory: certificates.path, name: 'door-ca' })
  const secure = await makeCertificate({ directory: certificates.path, names: ['bench.test'], ca })
  const server = await peer.start({
    sinkPort,
    isSigned: scenario.isSigned,
    secure,
    isKept: scenario.isKept,
    directory: scratch.path,
  })
  try {
    const load = {
      port: server.smtpPort,
      sessions,
      ratePerSecond: null,
      isTolerant: false,
      bodySizeBytes: scenario.bodySizeBytes,
      recipientsPerMessage: 1,
      domains: 0,
      isKept: scenario.isKept,
      usesTls: true,
      login: server.login,
      sender: 'sender@example.com',
    }
    const first = await warmUp((messages, firstMessage) =>
      generator.call('run', { ...load, firstMessage, messages }),
    )
    await eachCameOnce(bookOf(sink), first, stuckMs)
    await delay(300)
    const before = await sink.call('counts')
    const pids = server.pids()
    const cpuBefore = cpuSeconds(pids)
    const memory = watchMemory(pids)
    const arrived = eachCameOnce(bookOf(sink), first + options.messages, stuckMs)
    // Its fault is told when it is waited for, also when the load ends first.
    arrived.catch(() => {})
    const sent = await generator.call('run', { ...load, firstMessage: first, messages: options.messages })
    const endMs = await arrived
    const cpu = cpuSeconds(pids) - cpuBefore
    const peakMemoryMib = memory.stop()
    await delay(200)
    const counts = await sink.call('counts')
    if (counts.handshakes === 0) throw new Error('nothing came by TLS')
    const resumption = {
      door: { handshakes: sent.handshakes, resumed: sent.resumed },
      sink: {
        handshakes: counts.handshakes - before.handshakes,
        resumed: counts.resumed - before.resumed,
      },
    }
    const unfair = whyUnfair(resumption, options.messages)
    if (unfair !== undefined) throw new Error(unfair)
    return {
      messages: options.messages,
      acceptRate: (options.messages / (sent.endedMs - sent.startedMs)) * 1000,
      endToEndRate: (options.messages / (endMs - sent.startedMs)) * 1000,
      cpuSecondsPerThousand: pids.length === 0 ? undefined : (cpu / options.messages) * 1000,
      peakMemoryMib: pids.length === 0 ? undefined : peakMemoryMib,
      duplicates: counts.twice,
      resumption,
    }
  } finally {
    await server.stop()
  }
}
