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

/** The engine's options of a listener, for clients of its own or those behind a named proxy. `secureContext` is asked for at each handshake, so a reload needs no new listener. */
export function engineOptionsOf(
  config: Config,
  listener: ListenerConfig,
  door: Door,
  secureContext: () => SecureContext,
  isProxied: boolean,
): SmtpServerOptions {
  const { limits } = config
  return smtpServerOptions({
    hostname: config.hostname,
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
