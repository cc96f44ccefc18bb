// Behaviours that people name on the command line, each a change to what a host is by itself.
//
// Tests set behaviours by their fields; this table is for `postrider lab behave` and its page of the reference.

import { smtpReply } from '../protocol/smtp/index.ts'
import type { LabBehaviour } from './behaviour.ts'

/** A named behaviour; null goes back to the host's own. */
export interface LabPreset {
  readonly name: string
  readonly text: string
  readonly behaviour: Partial<LabBehaviour> | null
}

/** All of them. */
export const labPresets: readonly LabPreset[] = [
  { name: 'ordinary', text: 'as the host is by itself', behaviour: null },
  { name: 'dead', text: 'connections are refused', behaviour: { connect: 'refuse' } },
  { name: 'silent', text: 'connections are taken and nothing is said', behaviour: { connect: 'silent' } },
  { name: 'closes', text: 'connections are closed before the greeting', behaviour: { connect: 'close' } },
  {
    name: 'busy',
    text: 'greets with 421',
    behaviour: { greeting: smtpReply(421, '4.3.2', 'Too busy at the moment') },
  },
  { name: 'slow', text: 'greeting and replies take 5 s each', behaviour: { delayMs: 5000 } },
  { name: 'tarpit', text: 'replies leave a byte every 100 ms', behaviour: { tls: 'none', bytePauseMs: 100 } },
  { name: 'no-tls', text: 'STARTTLS is not offered', behaviour: { tls: 'none' } },
  { name: 'tls-broken', text: 'every TLS handshake fails', behaviour: { tls: 'broken' } },
  { name: 'tls-expired', text: 'the certificate ended long ago', behaviour: { tls: 'expired' } },
  { name: 'tls-wrong-name', text: 'the certificate is another host’s', behaviour: { tls: 'wrong-name' } },
  {
    name: 'defers',
    text: 'every RCPT gets 451',
    behaviour: { rcpt: smtpReply(451, '4.3.0', 'Not now; please try again later') },
  },
  {
    name: 'refuses',
    text: 'every RCPT gets 550 5.7.1',
    behaviour: { rcpt: smtpReply(550, '5.7.1', 'Mail is not taken here at the moment') },
  },
]
