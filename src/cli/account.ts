// `postrider account create|list`: the tenants of this installation.

import type { Command } from 'commander'
import type { AccountJson } from '../accounts/index.ts'
import type { Cli } from './cli.ts'
import { formatTable } from './table.ts'

/** Adds `account`. */
export function accountCommand(program: Command, cli: Cli): void {
  const account = program.command('account').description('accounts: who uses this relay')

  account
    .command('create')
    .description('create an account')
    .argument('<name>', '1 to 64 of a-z, 0-9, dot, hyphen, underscore')
    .action(async (name: string) => {
      const created = await cli.call<AccountJson>('account.create', { name })
      await cli.print(
        created,
        ({ id }) =>
          `account ${name} created: ${id}\nnext: postrider domain add --account ${name} DOMAIN --trust\n` +
          `      postrider credential create --account ${name} --kind smtp\n`,
      )
    })

  account
    .command('list')
    .description('list the accounts')
    .action(async () => {
      const rows = await cli.list<AccountJson>('account.list')
      await cli.print(rows, all =>
        formatTable(
          [
            { title: 'NAME', cell: (row: AccountJson) => row.name },
            { title: 'ID', cell: row => row.id },
            { title: 'CREATED', cell: row => row.createdAt },
          ],
          all,
          cli.paint,
          'no accounts yet: postrider account create NAME',
        ),
      )
    })
}
