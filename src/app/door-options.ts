// From one `[[listener]]` of the configuration to what the engine and the session handler want.

import type { SecureContext } from 'node:tls'
import { type Config, type ListenerConfig, NetworkSet } from '../config/running/index.ts'
import type { Door } from '../intake/index.ts'
import { type SmtpServerOptions, smtpServerOptions } from '../protocol/smtp/index.ts'

/** The meaning of a listener. */
export function doorOf(listener: ListenerConfig): Door {
  const networks = new NetworkSet(listener.networks)
  return {
    kind: listener.kind === 'mx' ? 'relay' : listener.kind,
    isInNetworks: address => !networks.isEmpty && networks.has(address),
    accountName: listener.account,
    senders: listener.senders,
    longLines: listener.longLines,
    bareLf: listener.bareLf,
    showsClientAddress: listener.showsClientAddress,
  }
}

/** What a listener's options need of the thread. */
interface ThreadFacts {
  readonly greetingId: string
  /** Asked for at each handshake, so a reload needs no new listener. */
  readonly secureContext: () => SecureContext
  /** For those behind a named proxy, instead of clients of its own. */
  readonly isProxied: boolean
}

/** The engine's options of a listener. */
export function engineOptionsOf(
  config: Config,
  listener: ListenerConfig,
  door: Door,
  { greetingId, secureContext, isProxied }: ThreadFacts,
): SmtpServerOptions {
  const { limits } = config
  return smtpServerOptions({
    hostname: config.hostname,
    greetingId,
    tls: { mode: listener.kind === 'submissions' ? 'implicit' : 'starttls', secureContext },
    offersAuth: true,
    requiresAuth: true,
    trustsClient: facts => door.kind === 'relay' && door.isInNetworks(facts.clientAddress),
    proxyProtocol: isProxied ? 'required' : 'none',
    maxSizeBytes: limits.messageSizeBytes,
    limits: {
      rcptMax: limits.recipients,
      errorsMax: limits.errors,
      junkCommandsMax: limits.junkCommands,
      commandIdleMs: limits.idleMs,
      contentIdleMs: limits.dataIdleMs,
      contentBytesPerSecondMin: limits.dataRateMin,
      sessionMs: limits.sessionMs,
      proxyHeaderMs: limits.handshakeMs,
      handshakeMs: limits.handshakeMs,
      unreadMs: limits.unreadRepliesMs,
    },
  })
}
