/**
 * Debian's postgrey: the policy server that makes a Postfix greylist. Its folder of its own, on loopback, in the
 * foreground. Needs root, since it drops to the user that its package made.
 */
import { chown } from 'node:fs/promises'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { isListening, Program, runOrThrow } from './process.ts'
import type { RcptPolicy, RcptQuestion } from './rcpt-policy.ts'
import { Scratch } from './scratch.ts'

export interface Postgrey extends AsyncDisposable {
  /** For `check_policy_service`. */
  readonly service: string
  /** For servers that do not speak its protocol: asks it what Postfix would ask. */
  readonly policy: RcptPolicy
  /** What it logged: each question with what it answered. */
  output(): string
}

/** Start postgrey on a free port; a client, sender and recipient that were not seen before must wait `delaySec`. */
export async function startPostgrey(options: {
  readonly port: number
  readonly delaySec: number
}): Promise<Postgrey> {
  const address = '127.0.0.1'
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await Scratch.create('postgrey'))
  const [uid, gid] = [await runOrThrow('id', ['-u', 'postgrey']), await runOrThrow('id', ['-g', 'postgrey'])]
  await chown(path, Number(uid), Number(gid))
  const program = owned.use(
    new Program({
      name: 'postgrey',
      command: '/usr/sbin/postgrey',
      args: [
        ...[`--inet=${address}:${options.port}`, `--delay=${options.delaySec}`, `--dbdir=${path}`],
        // Nobody is known before, and nobody becomes known for all his mail.
        ...[
          '--auto-whitelist-clients=0',
          '--whitelist-clients=/dev/null',
          '--whitelist-recipients=/dev/null',
        ],
      ],
    }),
  )
  await program.until('a listener', () => isListening(address, options.port))
  const done = owned.move()
  return {
    service: `inet:${address}:${options.port}`,
    policy: async question => {
      const said = await text(connect(options.port, address).end(policyQuestion(question)))
      const [, words] = /^action=DEFER_IF_PERMIT (.*)/.exec(said) ?? []
      return words === undefined ? undefined : { code: 450, enhancedCode: '4.2.0', text: words.trim() }
    },
    output: () => program.output,
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}

/** What Postfix would ask: attributes, a line each, and an empty one. The connection's end behind it is no harm. */
export function policyQuestion({ clientAddress, helo, from, to }: RcptQuestion): string {
  return [
    'request=smtpd_access_policy',
    'protocol_state=RCPT',
    'protocol_name=ESMTP',
    `client_address=${clientAddress}`,
    'client_name=unknown',
    `helo_name=${helo}`,
    `sender=${from}`,
    `recipient=${to}`,
    '\n',
  ].join('\n')
}
