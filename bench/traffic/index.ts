/** Load generator, sink and DNS of our own, each in a process of its own: for scenarios that Postfix's tools cannot make. */
import { readFile } from 'node:fs/promises'
import { makeCertificate, makeCertificateAuthority } from '../../test/support/peers/index.ts'
import type { BookPorts } from './book.ts'
import { Child } from './child.ts'
import type { DnsCalls } from './dns-child.ts'
import type { GeneratorCalls } from './generator-child.ts'
import type { SinkCalls } from './sink-child.ts'

export { heardStates } from './answers.ts'
export { eachCameOnce } from './book.ts'
export { nowMs } from './child.ts'
export type { ConversationOptions } from './conversation.ts'
export { benchZone, domainName, manyDomains, oneDomain } from './dns.ts'
export { everydayFaults, type FaultShares } from './faults.ts'
export type { LoadOptions, LoadOutcome } from './generator.ts'
export type { SinkCounts } from './sink.ts'
export type GeneratorProcess = Child<GeneratorCalls>
export type SinkProcess = Child<SinkCalls>

export function startGenerator(): GeneratorProcess {
  return new Child<GeneratorCalls>(new URL('./generator-child.ts', import.meta.url))
}

export function startDnsProcess(): Child<DnsCalls> {
  return new Child<DnsCalls>(new URL('./dns-child.ts', import.meta.url))
}

export function startSinkProcess(): SinkProcess {
  return new Child<SinkCalls>(new URL('./sink-child.ts', import.meta.url))
}

/** A sink's book of arrivals; see book.ts. */
export function bookOf(sink: SinkProcess): BookPorts {
  return {
    waitFor: recipients => sink.call('waitFor', recipients),
    arrivals: () => sink.call('arrivals'),
    counts: () => sink.call('counts'),
  }
}

/** An ECDSA certificate for the sink, as PEM. */
export async function makeSinkPem(directory: string): Promise<{ certificate: string; key: string }> {
  const ca = await makeCertificateAuthority({ directory, name: 'sink-ca' })
  const made = await makeCertificate({ directory, names: ['sink.test'], ca })
  return { certificate: await readFile(made.certificate, 'utf8'), key: await readFile(made.key, 'utf8') }
}
