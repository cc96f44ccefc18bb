/**
 * What Postfix, Exim and OpenSMTPD receivers have in common: their options and the handle a test holds.
 * Disposing a receiver ends the program, its recorder and its folders.
 */
import type { Certificate } from './certificate.ts'
import type { RcptPolicy } from './rcpt-policy.ts'
import type { ReceivedMail, Recorder } from './recorder.ts'

export interface ReceiverOptions {
  /** A loopback address, IPv4 (or IPv6 for Postfix and Exim). */
  readonly listenAddress: string
  readonly port: number
  /** An existing empty folder for configuration and queue. Default: a temporary one, removed on disposal. */
  readonly directory?: string
  /** The name it greets with. Default `<program>.peers.test`. */
  readonly hostname?: string
  /** Offer STARTTLS with this certificate. Default: no TLS. */
  readonly tls?: Certificate
}

/** Those that cannot ask a policy server by their configuration alone. */
export interface PolicyOptions {
  /** Asked about each recipient before it is taken. Default: all are. */
  readonly rcptPolicy?: RcptPolicy
}

export interface Receiver extends AsyncDisposable {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly pid: number
  /** All mails that came out so far, oldest first. */
  received(): Promise<readonly ReceivedMail[]>
  /** The same once there are at least `count`; rejects with the program's log after `timeoutMs` (60 s). */
  waitFor(count: number, timeoutMs?: number): Promise<readonly ReceivedMail[]>
  /** What the program wrote to its log. */
  log(): Promise<string>
}

export function makeReceiver(parts: {
  readonly name: string
  readonly options: ReceiverOptions
  readonly recorder: Recorder
  readonly pid: number
  readonly log: () => Promise<string>
  readonly owned: AsyncDisposableStack
}): Receiver {
  const { name, options, recorder, pid, log, owned } = parts
  return {
    name,
    address: options.listenAddress,
    port: options.port,
    pid,
    received: async () => recorder.mails,
    waitFor: async (count, timeoutMs) => {
      try {
        return await recorder.waitFor(count, timeoutMs)
      } catch (cause) {
        throw new Error(`${name}: ${String(cause)}\n${(await log()).slice(-4000)}`, { cause })
      }
    },
    log,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
