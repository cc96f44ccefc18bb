// `postrider credential create|list|revoke`: SMTP logins and API keys.

import { type Command, Option } from 'commander'
import type { CredentialJson, NewCredentialJson } from '../accounts/index.ts'
import type { Cli } from './cli.ts'
import { said } from './options.ts'
import { formatTable } from './table.ts'

interface CreateOptions {
  readonly account: string
  readonly kind: string
  readonly stream?: string
  readonly longLines?: string
  readonly bareLf?: string
}

/** Adds `credential`. */
export function credentialCommand(program: Command, cli: Cli): void {
  const credential = program.command('credential').description('SMTP logins and API keys')

  credential
    .command('create')
    .description('create a credential; its secret is shown this once')
    .requiredOption('--account <account>', 'id or name of the account')
    .addOption(new Option('--kind <kind>', 'what it is for').choices(['smtp', 'api']).default('smtp'))
    .option('--stream <stream>', 'id or name of the stream of its messages (default: "default")')
    .addOption(new Option('--long-lines <rule>', 'lines over 998 bytes').choices(['refuse', 'encode']))
    .addOption(new Option('--bare-lf <rule>', 'lines ended by LF alone').choices(['refuse', 'mend']))
    .action(async ({ account, kind, stream, longLines, bareLf }: CreateOptions) => {
      const created = await cli.call<NewCredentialJson>(
        'credential.create',
        said({ account, kind, stream, longLines, bareLf }),
      )
      await cli.print(
        created,
        ({ id, username, secret }) =>
          `id        ${id}\nusername  ${username}\nsecret    ${cli.paint('strong', secret)}\n` +
          `${cli.paint('careful', 'keep the secret now: it is not shown again')}\n`,
      )
    })

  credential
    .command('list')
    .description('list credentials, revoked ones too')
    .option('--account <account>', 'only those of this account')
    .action(async ({ account }: { account?: string }) => {
      const rows = await cli.list<CredentialJson>('credential.list', said({ account }))
      await cli.print(rows, all =>
        formatTable(
          [
            { title: 'ACCOUNT', cell: (row: CredentialJson) => row.account },
            { title: 'KIND', cell: row => row.kind },
            { title: 'USERNAME', cell: row => row.username },
            { title: 'STREAM', cell: row => row.stream },
            { title: 'ID', cell: row => row.id },
            {
              title: 'STATE',
              cell: row =>
                row.revokedAt === null
                  ? { text: 'valid', tone: 'good' }
                  : { text: `revoked ${row.revokedAt}`, tone: 'bad' },
            },
          ],
          all,
          cli.paint,
          'no credentials yet: postrider credential create --account NAME --kind smtp',
        ),
      )
    })

  credential
    .command('revoke')
    .description('revoke a credential for good, in force at once')
    .argument('<credential>', 'its id, or the user name of an SMTP login')
    .action(async (idOrUsername: string) => {
      const revoked = await cli.call<CredentialJson>('credential.revoke', { credential: idOrUsername })
      await cli.print(revoked, ({ id, username }) => `revoked ${username} (${id})\n`)
    })
}
