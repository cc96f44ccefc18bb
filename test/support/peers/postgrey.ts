/**
 * Debian's postgrey: the policy server that makes a Postfix greylist. Its folder of its own, on loopback, in the
 * foreground. Needs root, since it drops to the user that its package made.
 */
import { chown } from 'node:fs/promises'
import { isListening, Program, runOrThrow } from './process.ts'
import { Scratch } from './scratch.ts'

export interface Postgrey extends AsyncDisposable {
  /** For `check_policy_service`. */
  readonly service: string
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
    output: () => program.output,
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}
